# make run · make test: each does all of its own set-up on a fresh machine.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python

.PHONY: run test lint setup browser

setup: $(VENV)/.done

$(VENV)/.done: setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

run: setup
	$(RUN) -m seit_cl.run --memory-mb 100 --format tokens

# Tests of report.html run in a real Chromium. Where there is none and it cannot be installed, they say so.
browser:
	@command -v chromium >/dev/null && command -v chromedriver >/dev/null || \
	if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
			chromium chromium-driver fonts-dejavu-core >/dev/null || echo "chromium could not be installed"; \
	fi

test: setup browser
	OMP_NUM_THREADS=1 $(RUN) -m pytest -n 2 --dist worksteal  # one thread each: threads of two processes wait for one another

lint: setup
	$(VENV)/bin/ruff check .
	rm -rf build .lint
	$(VENV)/bin/pip install --quiet --no-deps --target .lint .
	MYPYPATH=.lint $(VENV)/bin/mypy -p seit_cl  # an installed copy: only there are strategies, scenarios and reports seit_cl's
