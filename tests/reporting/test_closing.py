"""Last lines of a command: an answer with its picture, or the command that gives one."""

import re
import shlex
from pathlib import Path

import pytest

from helpers.synthetic_runs import write_run
from seit_cl.command_line import parse
from seit_cl.core import plugins
from seit_cl.grid import expand
from seit_cl.reporting.closing import COMPARISON, PICTURE, answer_lines, comparison_hint
from seit_cl.reporting.loading import gather

ROOT = Path(__file__).resolve().parents[2]


def test_runs_of_both_formats_at_a_budget_that_binds_end_with_the_answer_and_its_picture(
    tmp_path: Path,
) -> None:
    for seed in range(3):
        for spec in ("tokens", "jpeg:quality=75,size=64"):
            write_run(tmp_path, spec=spec, memory=100_000, seed=seed, memory_full=True)
    runs = gather([tmp_path]).runs
    first, *_, picture = answer_lines(runs, tmp_path)
    assert first.startswith("At 0.1 MB, tokens store")
    assert picture == f"picture: {tmp_path / PICTURE}"
    assert PICTURE.stem in plugins.names("report")


@pytest.mark.parametrize("formats", [["tokens"], ["tokens", "jpeg:quality=75,size=64"]])
def test_a_budget_that_does_not_bind_has_no_answer(formats: list[str], tmp_path: Path) -> None:
    for spec in formats:
        write_run(tmp_path, spec=spec, memory=100_000_000, memory_full=False)
    assert answer_lines(gather([tmp_path]).runs, tmp_path) == []


def test_the_command_that_is_named_is_that_of_make_run_and_has_enough_pairs_for_a_claim() -> None:
    assert comparison_hint("python -m seit_cl.run")[-1].strip().endswith(COMPARISON)
    runs = expand(parse(shlex.split(COMPARISON)))
    pairs = {(run.format, run.seed) for run in runs}
    assert len(pairs) == 2 * 3
    makefile = (ROOT / "Makefile").read_text()
    target = re.search(r"^run: setup\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    assert target is not None
    assert target[1].splitlines() == [
        "\t$(RUN) -m seit_cl.run --memory-mb 100 --format tokens",
        "\t$(RUN) -m seit_cl.run $(COMPARISON)",
    ]
    variable = re.search(r"^COMPARISON := ((?:.*\\\n)*.*)\n", makefile, re.MULTILINE)
    assert variable is not None
    assert variable[1].replace("\\\n", " ").split() == COMPARISON.split()
