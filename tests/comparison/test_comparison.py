"""The comparison: all of its runs are made once, the best JPEG goes on from the sweep, and a memory that is not full stands
for larger ones."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from helpers.colour_stream import OPTIONS, run, write_colours
from seit_cl import compare
from seit_cl.comparison.page import answer
from seit_cl.comparison.pool import finished_run
from seit_cl.config import RunConfig
from seit_cl.core.errors import UserError
from seit_cl.experiment.experiment import Experiment
from seit_cl.experiment.run_data import RunData
from seit_cl.grid import run_id
from seit_cl.results.metrics import final_accuracy
from seit_cl.results.run_files import read_run, read_runs


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_colours(tmp_path_factory.mktemp("comparison"))


@pytest.fixture
def typed(root: Path, tmp_path: Path) -> list[str]:
    """A comparison of a few seconds: 48 images, of which 0.001 MB hold some as tokens and 0.02 MB all."""
    plain = [
        f"--{name.replace('_', '-')}={value}"
        for name, value in OPTIONS.items()
        if name != "memory_mb"
    ]
    own = ["--quality", "10", "--claim-seeds", "2", "--seeds", "1", "--jobs", "2"]
    return [
        *own,
        *plain,
        "--data-root",
        str(root),
        "--out",
        str(tmp_path / "out"),
        "--memory-mb",
        "0.001",
        "0.02",
    ]


def test_the_whole_comparison_runs_once_and_gives_its_page(
    typed: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    page = tmp_path / "page.md"
    monkeypatch.setattr(sys, "argv", ["comparison", *typed, "--write", str(page)])
    compare.main()
    said, runs = capsys.readouterr().out, read_runs(tmp_path / "out")
    assert {run.status for run in runs} == {"finished"} and "error: raw" not in said
    assert {run.get("strategy") for run in runs} == {"er", "naive", "joint", "cumulative"}
    assert (
        "needs at least" in said or "too small" in said
    )  # a raw image of 32 px has 3,072 bytes: no run, and no end either
    tokens = [run for run in runs if run.get("format") == "tokens"]
    assert {(run.get("memory_bytes"), run.get("seed")) for run in tokens} == {
        (b, s) for b in (1000, 20000) for s in (0, 1)
    }
    assert (tmp_path / "out" / "report.html").exists()
    assert (
        "| 0.001 | tokens | tokens | 2 |" in page.read_text()
        and "| joint | pixels | 1 |" in page.read_text()
    )
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*/facts.json")}
    compare.main()
    assert {
        path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*/facts.json")
    } == before


def test_a_dry_run_names_the_runs_and_makes_none(
    typed: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["comparison", *typed, "--dry-run"])
    compare.main()
    said = capsys.readouterr().out
    assert "er_tokens_tokens_0.001MB_seed0" in said and "cumulative_pixels_seed0" in said
    assert not (tmp_path / "out").exists()


def test_the_best_of_the_sweep_goes_on_with_more_seeds(typed: list[str]) -> None:
    options, line = compare.read_line(
        [*typed, "--memory-mb", "0.02", "--quality", "10", "50", "90"]
    )
    plan = compare.Plan(options, line, line.out)
    assert plan.winners(["tokens"], 2) == []  # nothing is swept yet
    swept = plan.sweep("tokens")
    data = RunData(swept[0])
    for config in swept:
        Experiment(config, data, plan.out / run_id(config)).run()
    ends = {
        config.format: final_accuracy(read_run(plan.out / run_id(config)).accuracy)
        for config in swept
    }
    winners = plan.winners(["tokens"], 2)
    assert [config.seed for config in winners] == [0, 1]
    assert {config.format for config in winners} == {max(ends, key=lambda name: ends[name])}
    assert f"**{100 * max(ends.values()):.1f}**" in answer(plan.out, "typed")


def test_with_more_bytes_a_memory_that_is_not_full_gives_the_same_run(
    root: Path, tmp_path: Path
) -> None:
    config = RunConfig(**{**OPTIONS, "data_root": root, "memory_mb": 0.01, "format": "jpeg"})
    data = RunData(config)
    tight, small, large = (replace(config, memory_mb=size) for size in (0.01, 0.1, 5.0))
    runs = [
        run(data, tmp_path / run_id(c), format=c.format, memory_mb=c.memory_mb)
        for c in (tight, small, large)
    ]
    assert [outcome.run.get("memory_full") for outcome in runs] == [True, False, False]
    assert runs[1].losses == runs[2].losses and runs[1].run.accuracy.equals(runs[2].run.accuracy)
    (tmp_path / run_id(large) / "facts.json").unlink()
    found = finished_run(large, tmp_path)
    assert found is not None and found.run_id == run_id(small)
    (tmp_path / run_id(small) / "facts.json").unlink()
    assert finished_run(large, tmp_path) is None  # the tight one is full, and stands for none


@pytest.mark.parametrize(
    ("more", "named"),
    [
        (["--strategy", "er"], "--strategy"),
        (["--seed=1"], "--seed"),
        (["--epoch", "3"], "--epochs"),
        (["--jobs", "0"], "--jobs"),
    ],
)
def test_options_that_cannot_be_are_named(typed: list[str], more: list[str], named: str) -> None:
    with pytest.raises(UserError, match=named):
        compare.read_line([*typed, *more])


def test_a_comparison_needs_a_folder_to_resume_in(root: Path) -> None:
    with pytest.raises(UserError, match="--out"):
        compare.read_line(["--data-root", str(root)])
