"""Runs as jobs of an array: submitit's own executor for one machine stands in for Slurm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from helpers.colour_stream import write_colours
from helpers.job_log import JobLog
from helpers.launched_runs import list_jobs, require_same_results, run_here
from seit_cl.core.errors import UserError
from seit_cl.launchers.on_slurm import RunOfArray, SlurmArray, read_parameters

LOCAL = {"cluster": "local"}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_colours(tmp_path_factory.mktemp("colours"))


@pytest.mark.slow
def test_the_runs_of_an_array_end_like_runs_one_after_the_other(root: Path, tmp_path: Path) -> None:
    options: dict[str, dict[str, Any]] = {"er": {}, "jpeg": {"format": "jpeg"}}
    runs = list_jobs(root, tmp_path / "array", **options)
    run_here(runs, tmp_path / "here")
    (tmp_path / "array").mkdir()
    log = JobLog()
    SlurmArray(LOCAL, 1, 0.0, tmp_path / "array").run(runs, log)
    assert {name: ending.problem for name, ending in log.endings.items()} == {"er": "", "jpeg": ""}
    require_same_results(tmp_path / "here", tmp_path / "array")


@pytest.mark.slow
def test_a_run_that_is_refused_ends_with_its_own_line(root: Path, tmp_path: Path) -> None:
    (job,) = list_jobs(root, tmp_path, run={"memory_mb": 0.00001})
    log = JobLog()
    SlurmArray(LOCAL, 1, 0.0, tmp_path).run([job], log)
    assert "bytes" in log.endings["run"].problem


def test_a_job_whose_time_is_up_is_submitted_again_with_the_same_run(
    root: Path, tmp_path: Path
) -> None:
    (job,) = list_jobs(root, tmp_path, run={})
    run = RunOfArray(job, tmp_path, 1)
    assert run.checkpoint().function == run


def test_a_machine_without_slurm_is_refused(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="--launcher slurm: this machine has no sbatch"):
        SlurmArray({}, 1, 0.0, tmp_path)


def test_a_fraction_of_a_gpu_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--run-gpus 0\.5: a job of Slurm has whole GPUs"):
        SlurmArray(LOCAL, 1, 0.5, tmp_path)


def test_parameters_are_read_as_submitit_names_them() -> None:
    assert read_parameters(["partition=gpu", "timeout_min=60"]) == {
        "partition": "gpu",
        "timeout_min": 60,
    }
    with pytest.raises(UserError, match="--slurm gpu: write NAME=VALUE"):
        read_parameters(["gpu"])


def test_an_unknown_parameter_is_named_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--slurm: .*nonsense") as caught:
        SlurmArray({**LOCAL, "nonsense": 1}, 1, 0.0, tmp_path)
    assert "\n" not in str(caught.value)
