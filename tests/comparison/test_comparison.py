"""A comparison makes all of its runs once, and its sweep decides which JPEGs get more seeds."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from helpers.colour_stream import OPTIONS, run, write_colours
from seit_cl import compare
from seit_cl.comparison.page import comparison_page
from seit_cl.comparison.plan import Plan
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
def words(root: Path, tmp_path: Path) -> list[str]:
    """Return the options of a comparison of a few seconds.

    Of its 48 images, 0.001 MB hold some as tokens and 0.02 MB hold all.
    """
    comparison = ["--quality", "10", "--claim-seeds", "2", "--seeds", "1", "--jobs", "2"]
    budgets = ["--memory-mb", "0.001", "0.02"]
    runs = []
    for name, value in OPTIONS.items():
        if name != "memory_mb":
            runs.append(f"--{name.replace('_', '-')}={value}")
    folders = ["--data-root", str(root), "--out", str(tmp_path / "out")]
    return [*comparison, *runs, *folders, *budgets]


def modification_times(out: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in out.glob("*/facts.json")}


def test_a_comparison_makes_its_runs_once_and_writes_its_page(
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    page = tmp_path / "page.md"
    monkeypatch.setattr(sys, "argv", ["compare", *words, "--write", str(page)])
    compare.main()
    printed = capsys.readouterr().out
    runs = read_runs(out)
    assert {run.status for run in runs} == {"finished"}
    assert {run.get("strategy") for run in runs} == {"er", "naive", "joint", "cumulative"}
    # A raw image of 32 px takes 3,072 bytes: that run is refused, and the others go on.
    assert "needs at least" in printed or "too small" in printed
    assert "error: raw" not in printed
    tokens = [run for run in runs if run.get("format") == "tokens"]
    budgets_and_seeds = {(run.get("memory_bytes"), run.get("seed")) for run in tokens}
    assert budgets_and_seeds == {(1000, 0), (1000, 1), (20000, 0), (20000, 1)}
    assert (out / "report.html").exists()
    assert "| 0.001 | tokens | tokens | 2 |" in page.read_text()
    assert "| joint | pixels | 1 |" in page.read_text()
    before = modification_times(out)
    compare.main()
    assert modification_times(out) == before


def test_a_dry_run_prints_the_runs_and_makes_none(
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["compare", *words, "--dry-run"])
    compare.main()
    printed = capsys.readouterr().out
    assert "er_tokens_tokens_0.001MB_seed0" in printed
    assert "cumulative_pixels_seed0" in printed
    assert not (tmp_path / "out").exists()


def test_the_best_option_of_the_sweep_gets_more_seeds(words: list[str]) -> None:
    more = ["--memory-mb", "0.02", "--quality", "10", "50", "90"]
    options, run_options = compare.parse_options([*words, *more])
    plan = Plan(options, run_options, run_options.out)
    assert plan.winners(["tokens"], 2) == []  # the sweep has not run
    swept = plan.sweep("tokens")
    data = RunData(swept[0])
    accuracies = {}
    for config in swept:
        Experiment(config, data, plan.out / run_id(config)).run()
        accuracies[config.format] = final_accuracy(read_run(plan.out / run_id(config)).accuracy)
    winners = plan.winners(["tokens"], 2)
    best = max(accuracies, key=lambda spec: accuracies[spec])
    assert [config.seed for config in winners] == [0, 1]
    assert {config.format for config in winners} == {best}
    assert f"**{100 * accuracies[best]:.1f}**" in comparison_page(plan.out, "typed")


def test_a_memory_that_is_not_full_gives_the_same_run_at_larger_budgets(
    root: Path, tmp_path: Path
) -> None:
    config = RunConfig(**{**OPTIONS, "data_root": root, "memory_mb": 0.01, "format": "jpeg"})
    data = RunData(config)
    full, small, large = (replace(config, memory_mb=budget) for budget in (0.01, 0.1, 5.0))
    outcomes = []
    for each in (full, small, large):
        folder = tmp_path / run_id(each)
        outcomes.append(run(data, folder, format=each.format, memory_mb=each.memory_mb))
    assert [outcome.run.get("memory_full") for outcome in outcomes] == [True, False, False]
    assert outcomes[1].losses == outcomes[2].losses
    assert outcomes[1].run.accuracy.equals(outcomes[2].run.accuracy)
    (tmp_path / run_id(large) / "facts.json").unlink()
    equal = finished_run(large, tmp_path)
    assert equal is not None
    assert equal.run_id == run_id(small)
    (tmp_path / run_id(small) / "facts.json").unlink()
    assert finished_run(large, tmp_path) is None  # a full memory stands for no other budget


@pytest.mark.parametrize(
    ("more", "option"),
    [
        (["--strategy", "er"], "--strategy"),
        (["--seed=1"], "--seed"),
        (["--epoch", "3"], "--epochs"),
        (["--jobs", "0"], "--jobs"),
    ],
)
def test_refused_options_are_named(words: list[str], more: list[str], option: str) -> None:
    with pytest.raises(UserError, match=option):
        compare.parse_options([*words, *more])


def test_a_comparison_needs_a_folder_to_resume_in(root: Path) -> None:
    with pytest.raises(UserError, match="--out"):
        compare.parse_options(["--data-root", str(root)])
