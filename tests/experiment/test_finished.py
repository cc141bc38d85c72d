"""Runs are recognised by what they were made from, wherever it lies."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from seit_cl.config import RunConfig
from seit_cl.core.errors import UserError
from seit_cl.data.fractals import write_fractals
from seit_cl.experiment.events import ExperienceInfo
from seit_cl.experiment.experiment import Experiment
from seit_cl.experiment.finished import is_finished
from seit_cl.experiment.run_data import RunData
from seit_cl.grid import run_folder, run_grid
from seit_cl.tokenizers.bundled import WEIGHTS

SHORT = RunConfig(memory_mb=0.003, experiences=2, epochs=1, device="cpu")


def make(config: RunConfig, out: Path) -> Path:
    """Make the run of a configuration, unless it is finished, and return its folder."""
    assert run_grid([config], out, Console(quiet=True)) == []
    return run_folder(out, config)


def write_time(run_dir: Path) -> int:
    return (run_dir / "accuracy.csv").stat().st_mtime_ns


def test_a_finished_run_is_that_of_the_same_images_under_another_path(
    fractals: Path, tmp_path: Path
) -> None:
    made = make(replace(SHORT, data_root=fractals), tmp_path / "out")
    written = write_time(made)
    moved = replace(SHORT, data_root=shutil.copytree(fractals, tmp_path / "moved"))
    assert make(moved, tmp_path / "out") == made
    assert write_time(made) == written


def test_an_interrupted_run_goes_on_with_the_same_images_under_another_path(
    fractals: Path, tmp_path: Path
) -> None:
    config = replace(SHORT, data_root=fractals)
    straight = make(config, tmp_path / "straight")

    def interrupt(info: ExperienceInfo) -> None:
        raise KeyboardInterrupt

    folder = run_folder(tmp_path / "out", config)
    with pytest.raises(KeyboardInterrupt):
        Experiment(config, RunData(config), folder).run(on_experience=interrupt)
    moved = replace(config, data_root=shutil.copytree(fractals, tmp_path / "moved"))
    assert make(moved, tmp_path / "out") == folder
    assert "starts with experience 2 of 2" in (folder / "log.txt").read_text()
    for name in ("accuracy.csv", "memory.bin"):
        assert (folder / name).read_bytes() == (straight / name).read_bytes()


def test_other_images_under_another_path_are_refused_even_if_all_runs_are_finished(
    fractals: Path, tmp_path: Path
) -> None:
    make(replace(SHORT, data_root=fractals), tmp_path / "out")
    other = write_fractals(tmp_path / "other", 5, 12, 6, 64)
    with pytest.raises(UserError, match=r"made with data_root .*choose another --out"):
        make(replace(SHORT, data_root=other), tmp_path / "out")


def test_a_place_without_images_is_named(fractals: Path, tmp_path: Path) -> None:
    made = make(replace(SHORT, data_root=fractals), tmp_path / "out")
    with pytest.raises(UserError, match="nowhere"):
        is_finished(replace(SHORT, data_root=tmp_path / "nowhere"), made)


def test_a_tokenizer_is_the_same_under_another_name(fractals: Path, tmp_path: Path) -> None:
    config = replace(SHORT, data_root=fractals)
    made = make(config, tmp_path / "out")
    copied = shutil.copy(WEIGHTS, tmp_path / "copied.safetensors")
    assert is_finished(replace(config, tokenizer=str(copied)), made)
    with pytest.raises(UserError, match="made with tokenizer"):
        is_finished(replace(config, tokenizer="bundled-unsupervised"), made)


def test_initial_weights_are_the_same_under_another_name(fractals: Path, tmp_path: Path) -> None:
    first = make(replace(SHORT, data_root=fractals, save_model=True), tmp_path / "first")
    weights = first / "model.safetensors"
    config = replace(SHORT, data_root=fractals, init=weights)
    made = make(config, tmp_path / "out")
    copied = Path(shutil.copy(weights, tmp_path / "copied.safetensors"))
    assert is_finished(replace(config, init=copied), made)
    with pytest.raises(UserError, match="made with init"):
        is_finished(replace(config, init=None), made)
