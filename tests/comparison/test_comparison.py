"""A comparison makes all of its runs once, and its sweep decides which JPEGs get more seeds."""

import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from helpers.colour_stream import OPTIONS, run, write_colours
from helpers.option_words import with_option
from seit_cl import compare
from seit_cl.comparison.choice import preference
from seit_cl.comparison.page import comparison_page
from seit_cl.comparison.plan import Plan
from seit_cl.comparison.pool import finished_run
from seit_cl.comparison.ranking import read_ranking
from seit_cl.config import RunConfig
from seit_cl.core.csv_text import sealed_csv
from seit_cl.core.errors import UserError
from seit_cl.experiment.experiment import Experiment
from seit_cl.experiment.run_data import RunData
from seit_cl.grid import run_id
from seit_cl.results.metrics import final_accuracy
from seit_cl.results.run_files import read_run, read_runs
from seit_cl.results.run_writer import reopen_run


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_colours(tmp_path_factory.mktemp("comparison"))


@pytest.fixture
def words(root: Path, tmp_path: Path) -> list[str]:
    """Return the options of a comparison of a few seconds.

    Of its 48 images, 0.001 MB hold some as tokens and 0.02 MB hold all.
    """
    candidates = ["--kind", "jpeg_scan", "--quality", "10"]
    comparison = [*candidates, "--claim-seeds", "2", "--seeds", "1", "--jobs", "2"]
    budgets = ["--memory-mb", "0.001", "0.02"]
    runs = []
    for name, value in OPTIONS.items():
        if name != "memory_mb":
            runs.append(f"--{name.replace('_', '-')}={value}")
    folders = ["--data-root", str(root), "--out", str(tmp_path / "out")]
    return [*comparison, *runs, *folders, *budgets]


def modification_times(out: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in out.glob("*/facts.json")}


@pytest.mark.slow
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
    chosen_by = {run.get("test_on") for run in runs if "jpeg_scan" in str(run.get("format"))}
    assert chosen_by == {"test", "validation"}
    ranking = pd.read_csv(out / "ranking.csv")
    assert ranking.memory_mb.tolist() == [0.001, 0.02]
    assert (out / "report.html").exists()
    assert "| 0.001 | tokens | tokens | 2 |" in page.read_text()
    assert "| joint | pixels | 1 |" in page.read_text()
    assert "(validation), class-incremental, er" in page.read_text()
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
    assert "er_tokens_tokens_0.001MB_fill-after_seed0" in printed
    assert "cumulative_pixels_seed0" in printed
    assert not (tmp_path / "out").exists()


RANKING = """memory_mb,format,error,record_bytes,exemplars
0.02,jpeg_scan:quality=10,0.3,200,90
0.02,jpeg_scan:quality=50,0.2,300,60
0.02,jpeg_scan:quality=90,0.1,400,40
0.02,webp_scan:quality=10,0.25,100,90
0.02,webp_scan:quality=50,0.05,150,90
"""


def test_a_ranking_that_was_damaged_or_edited_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "ranking.csv"
    path.write_text(RANKING)
    table = read_ranking(tmp_path)
    assert "ranking.csv: of an earlier version" in caplog.text
    path.write_text(sealed_csv(table))
    pd.testing.assert_frame_equal(read_ranking(tmp_path), table)
    text = path.read_text()
    for edited in (text.replace("0.25", "0.15"), "\n".join(text.split("\n")[:3]) + "\n", text[:-1]):
        path.write_text(edited)
        with pytest.raises(UserError, match=r"ranking\.csv: damaged.*delete it to rank"):
            read_ranking(tmp_path)


def two_kinds(words: list[str]) -> tuple[Plan, Path]:
    """A plan whose sweep trains two JPEGs and two WebPs of a ranking."""
    words = with_option(words, "--memory-mb", "0.02")
    words = with_option(words, "--quality", "10", "50", "90")
    words = with_option(words, "--kind", "jpeg_scan", "webp_scan")
    options, run_options = compare.parse_options([*words, "--trained", "2"])
    run_options.out.mkdir()
    (run_options.out / "ranking.csv").write_text(RANKING)
    return Plan(options, run_options, run_options.out), run_options.out


def test_the_sweep_trains_the_first_of_every_kind_on_training_images_alone(
    words: list[str],
) -> None:
    plan, _ = two_kinds(words)
    swept = plan.sweep("tokens")
    assert [config.format for config in swept] == [
        "jpeg_scan:quality=90",
        "jpeg_scan:quality=50",
        "webp_scan:quality=50",
        "webp_scan:quality=10",
    ]
    images = {(config.test_on, config.validation_fraction) for config in swept}
    assert images == {("validation", 0.2)}
    reported = plan.tokens(1) + plan.on_both_learners(format=("raw",))
    assert {(config.test_on, config.validation_fraction) for config in reported} == {("test", 0.0)}


def test_the_best_codec_and_the_best_jpeg_get_more_seeds_on_the_test_images(
    words: list[str],
) -> None:
    plan, out = two_kinds(words)
    assert plan.winners(["tokens"], 2) == []  # the sweep has not run
    swept = plan.sweep("tokens")
    data = RunData(swept[0])
    runs = {}
    for config in swept:
        Experiment(config, data, out / run_id(config)).run()
        runs[config.format] = read_run(out / run_id(config))
    accuracies = {spec: final_accuracy(run.accuracy) for spec, run in runs.items()}
    best = min(runs, key=lambda spec: preference(runs[spec]))
    assert accuracies[best] == max(accuracies.values())
    jpegs = [spec for spec in runs if spec.startswith("jpeg")]
    best_jpeg = min(jpegs, key=lambda spec: preference(runs[spec]))
    winners = plan.winners(["tokens"], 2)
    assert {(config.format, config.seed) for config in winners} == {
        (spec, seed) for spec in (best, best_jpeg) for seed in (0, 1)
    }
    assert {(config.test_on, config.validation_fraction) for config in winners} == {("test", 0.0)}
    page = comparison_page(out, "typed")
    assert f"**{100 * accuracies[best]:.1f}**" in page
    options = best_jpeg.partition(":")[2]
    assert f"{options},size=32: {100 * accuracies[best_jpeg]:.1f} %" in page
    assert "Memories are filled after each experience." in page


def test_choosing_on_the_test_images_uses_the_runs_of_earlier_versions(words: list[str]) -> None:
    options, run_options = compare.parse_options([*words, "--choose-on", "test", "--trained", "0"])
    swept = Plan(options, run_options, run_options.out).sweep("tokens")
    assert [(config.format, config.memory_mb) for config in swept] == [
        ("jpeg_scan:quality=10", 0.001),
        ("jpeg_scan:quality=10", 0.02),
    ]
    assert {(config.test_on, config.validation_fraction) for config in swept} == {("test", 0.0)}


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
    reopen_run(tmp_path / run_id(large))
    equal = finished_run(large, tmp_path)
    assert equal is not None
    assert equal.run_id == run_id(small)
    reopen_run(tmp_path / run_id(small))
    assert finished_run(large, tmp_path) is None  # a full memory stands for no other budget


@pytest.mark.parametrize(
    ("more", "option"),
    [
        (["--strategy", "er"], "--strategy"),
        (["--seed=1"], "--seed"),
        (["--test-on", "validation"], "--test-on"),
        (["--trained", "-1"], "--trained"),
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
