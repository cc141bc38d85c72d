"""A run's course in TensorBoard and Weights & Biases."""

from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from seit_cl.command_line import parse
from seit_cl.grid import expand, run_grid
from seit_cl.results import metrics, run_files

STEPS = ["--experiences", "2", "--epochs", "1", "--batch", "8", "--replay-batch", "4"]


@pytest.fixture
def options(fractals: Path) -> list[str]:
    """Options of a run of some seconds, with more than ten steps."""
    return [
        "--data-root",
        str(fractals),
        "--model",
        "micro",
        *STEPS,
        "--memory-mb",
        "0.02",
        "--device",
        "cpu",
    ]


def run_folder(out: Path) -> Path:
    (run,) = run_files.read_runs(out)
    return out / run.run_id


def test_tensorboard_shows_the_accuracies_of_the_results_at_the_steps_of_the_experiences(
    tmp_path: Path, options: list[str]
) -> None:
    run_grid(expand(parse(options)), tmp_path, Console(quiet=True), "tensorboard")
    folder = run_folder(tmp_path)
    events = EventAccumulator(str(folder / "tracking"))
    events.Reload()
    shown = events.Scalars("test/accuracy_seen")
    expected = metrics.accuracy_seen(pd.read_csv(folder / "accuracy.csv"))
    assert [event.value for event in shown] == pytest.approx(list(expected))
    assert shown[-1].step == run_files.read_runs(tmp_path)[0].get("steps")
    assert events.Scalars("memory/exemplars")[-1].value == run_files.read_runs(tmp_path)[0].get(
        "exemplars"
    )
    assert len(events.Scalars("train/loss")) == shown[-1].step // 10 > 0


def test_a_tracker_changes_no_number(tmp_path: Path, options: list[str]) -> None:
    run_grid(expand(parse(options)), tmp_path / "a", Console(quiet=True), "tensorboard")
    run_grid(expand(parse(options)), tmp_path / "b", Console(quiet=True))
    with_it, without = (pd.read_csv(run_folder(tmp_path / name) / "accuracy.csv") for name in "ab")
    pd.testing.assert_frame_equal(with_it, without)


@pytest.mark.slow
def test_weights_and_biases_takes_a_run_offline(
    tmp_path: Path, options: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    run_grid(expand(parse(options)), tmp_path, Console(quiet=True), "wandb")
    assert list((run_folder(tmp_path) / "tracking").rglob("*.wandb"))
