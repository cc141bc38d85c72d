"""The study of part of a grid: its arms differ as they say, and its table pairs runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from helpers.tokenizer_samples import untrained
from seit_cl.core.errors import UserError
from seit_cl.data.fractals import write_fractals
from studies import patches
from studies.plan import run_all


@pytest.fixture
def options(tmp_path: Path) -> patches.Options:
    """Options on a folder of five classes, with a tokenizer of random weights."""
    root = write_fractals(tmp_path / "data", 5, 6, 2, 64)
    untrained().save(tmp_path / "one.safetensors")
    return patches.Options(
        data_root=root,
        out=tmp_path / "out",
        tokenizer=str(tmp_path / "one.safetensors"),
        arm=("all", "even-drop"),
        budgets=(0.0015,),
        seed=(0,),
        epochs=1,
    )


def test_every_arm_has_runs_of_its_own(options: patches.Options) -> None:
    planned = list(patches.cases(replace(options, arm=tuple(patches.ARMS), seed=(0, 3))))
    assert len({case.folder for case in planned}) == len(patches.ARMS)
    assert len(set(planned)) == len(planned) == 2 * len(patches.ARMS)


def test_parts_are_stored_in_greater_number_and_paired_with_whole_grids(
    options: patches.Options,
) -> None:
    run_all(list(patches.cases(options)), options)
    text = patches.study_page(options.out, "command")
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| `")]
    assert len(rows) == 2
    assert int(rows[1][1]) > int(rows[0][1])
    assert rows[1][5].strip(" |") == "1"


def test_an_unknown_arm_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["patches", "--data-root", ".", "--out", "x", "--arm", "evn"]
    monkeypatch.setattr("sys.argv", words)
    with pytest.raises(UserError, match="did you mean 'even'"):
        patches._main()
