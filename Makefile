# make run · make test: each does all of its own set-up on a fresh machine.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
# As in seit_cl/reporting/closing.py: tokens against JPEG at budgets that bind.
COMPARISON := --memory-mb 0.01 0.04 --format tokens jpeg_scan:quality=25 --seed 0 1 2 \
	--experiences 5 --epochs 3 --jobs 2

.PHONY: run test slow faults lint installed docs dist setup browser

setup: $(VENV)/.done

$(VENV)/.done: setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

run: setup
	$(RUN) -m seit_cl.run --memory-mb 100 --format tokens
	$(RUN) -m seit_cl.run $(COMPARISON)

# Tests of report.html run in Chromium. Without one that can be installed they are skipped.
browser:
	@command -v chromium >/dev/null && command -v chromedriver >/dev/null || \
	if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
			chromium chromium-driver fonts-dejavu-core >/dev/null || echo "chromium could not be installed"; \
	fi

# One thread per process: the threads of two test processes on two cores would wait for each other.
PYTEST := OMP_NUM_THREADS=1 $(RUN) -m pytest -n 2 --dist worksteal

test: setup browser
	$(PYTEST) -m "not slow"

# Tests that take more than a few seconds each. MINUTES=20 skips those that have not begun by then.
slow: setup browser
	$(PYTEST) -m slow $(if $(MINUTES),--minutes $(MINUTES) -rs)

# Kills, damage, hostile images, failing disks and losses of power: the table in docs/reliability.md.
faults: setup
	PYTHONPATH=tests $(RUN) -m faults

# Types are checked in an installed copy: only there are strategies, scenarios and reports packages of seit_cl.
lint: setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	rm -rf build .lint
	$(VENV)/bin/pip install --quiet --no-deps --target .lint .
	MYPYPATH=.lint $(VENV)/bin/mypy -p seit_cl -p benchmarks -p studies
	cd examples && MYPYPATH=../.lint ../$(VENV)/bin/mypy --config-file ../pyproject.toml *.py

# A run from the installed copy that `make lint` makes, in a folder without the sources.
installed: lint
	cd "$$(mktemp -d)" && PYTHONPATH="$(CURDIR)/.lint" "$(CURDIR)/$(RUN)" -m seit_cl.run \
		--memory-mb 0.002 --experiences 2 --epochs 1 --format tokens jpeg --out installed

# The documentation as a site, in site/; a warning is an error.
docs: setup
	OMP_NUM_THREADS=1 $(RUN) -m sphinx -q -W --keep-going -c docs . site

# Wheel and source archive in dist/, each installed and run in an empty environment of every Python that is here.
dist: setup
	rm -rf dist build
	$(RUN) -m build --quiet --outdir dist .
	tests/try_distributions.sh dist constraints.txt
