"""Runs as an array of Slurm jobs, written and submitted by submitit.

Each job of the array makes one run. A job whose time is up, or that is preempted, is submitted
again by submitit, and the run goes on from its last commit. All machines see the folder of the
results, the data and the cache of tokens.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seit_cl.core.devices import share_machine
from seit_cl.core.errors import UserError, one_line
from seit_cl.core.extras import check_extra
from seit_cl.experiment.run_data import RunData
from seit_cl.launchers.jobs import (
    Bug,
    Ending,
    Job,
    Observer,
    OutOfMemory,
    Update,
    end_run,
    make_run,
)

FOLDER = "slurm"  # of scripts and logs, in the folder of the results
POLL = 1.0  # seconds between two looks at the jobs
INTERVAL = 30.0  # seconds between two lines on progress in the log of a job
CLUSTER = "cluster"  # the parameter that replaces Slurm by another of submitit's executors


@dataclass(frozen=True)
class RunOfArray:
    """A run as a job of submitit's: called by the job's process.

    Args:
        job: the run.
        folder: working folder, to which paths are relative.
        cores: of the job.
    """

    job: Job
    folder: Path
    cores: int

    def __call__(self) -> Ending | Bug:
        """Make the run, and return what it has ended with."""
        os.chdir(self.folder)
        share_machine(1, cores=self.cores)
        try:
            return make_run(self.job, lambda: RunData(self.job.config), _print, INTERVAL)
        except OutOfMemory:
            problem = "out of memory; the same command resumes it"
            return Ending(problem=f"{self.job.run_dir.name}: {problem}")

    def checkpoint(self) -> Any:
        """Return what Slurm is given where the job's time is up: the same run, which goes on."""
        import submitit

        return submitit.helpers.DelayedSubmission(self)


def _print(update: Update) -> None:
    """Write the progress of a run to the log of its job."""
    print(update.text, flush=True)


def read_parameters(words: Sequence[str]) -> dict[str, Any]:
    """Read parameters such as `partition=gpu`, as submitit names them.

    Returns:
        Their values: whole numbers where they are, else text.

    Raises:
        UserError: a word without a name or a value.
    """
    parameters: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not (name and equals and value):
            raise UserError(
                f"--slurm {word}: write NAME=VALUE, such as partition=gpu or timeout_min=240"
            )
        parameters[name] = int(value) if value.isdecimal() else value
    return parameters


class SlurmArray:
    """Slurm, which makes runs as jobs of an array.

    Args:
        parameters: of submitit's executor; those of Slurm may come without "slurm_" in front.
        cores: of each run.
        gpus: of each run, a whole number.
        out: folder of the results.

    Raises:
        UserError: no Slurm on this machine, an unknown parameter, or a fraction of a GPU.
    """

    def __init__(self, parameters: Mapping[str, Any], cores: int, gpus: float, out: Path) -> None:
        check_extra("submitit", "slurm", "--launcher slurm")
        self._cores = cores
        self._executor = _executor(dict(parameters), cores, gpus, out)

    def run(self, jobs: Iterable[Job], observer: Observer) -> None:
        """Submit runs as one array, and wait until all have ended.

        Jobs stay in the queue if the command is interrupted.

        Args:
            jobs: all are submitted at once.
            observer: is told when a run begins and when it ends.

        Raises:
            UserError: Slurm refuses the array, or a run met an error of the machine.
            RuntimeError: a run raised something else than a UserError, whose traceback is given.
        """
        waiting = list(jobs)
        if not waiting:
            return
        running = self._submit(waiting)
        begun: set[str] = set()
        while running:
            for submitted, job in list(running.items()):
                started = submitted.state == "RUNNING" or submitted.done()
                if started and submitted.job_id not in begun:
                    begun.add(submitted.job_id)
                    observer.begin(job)
                if submitted.done():
                    del running[submitted]
                    end_run(job, _result(submitted, job), observer)
            time.sleep(POLL if running else 0.0)

    def _submit(self, jobs: Sequence[Job]) -> dict[Any, Job]:
        """Submit an array, and return its jobs."""
        submitted = []
        try:
            with self._executor.batch():
                for job in jobs:
                    made = RunOfArray(job, Path.cwd(), self._cores)
                    submitted.append(self._executor.submit(made))
        except Exception as error:  # of submitit, of Slurm's commands, or of a parameter
            raise UserError(f"--launcher slurm: refused ({one_line(error)})") from error
        return dict(zip(submitted, jobs, strict=True))


def _executor(parameters: dict[str, Any], cores: int, gpus: float, out: Path) -> Any:
    """Make submitit's executor.

    Raises:
        UserError: as `SlurmArray`.
    """
    import submitit

    cluster = parameters.pop(CLUSTER, "slurm")
    if cluster == "slurm" and shutil.which("sbatch") is None:
        raise UserError(
            "--launcher slurm: this machine has no sbatch; start the command where jobs of Slurm "
            "are submitted, or use --launcher ray or local"
        )
    if gpus != int(gpus):
        raise UserError(f"--run-gpus {gpus:g}: a job of Slurm has whole GPUs; give a whole number")
    own = (
        submitit.SlurmExecutor._valid_parameters()
        - submitit.AutoExecutor._typed_parameters().keys()
    )
    named: dict[str, Any] = {"name": "seit_cl", "cpus_per_task": cores}
    if gpus:
        named["gpus_per_node"] = int(gpus)
    for name, value in parameters.items():
        named[f"slurm_{name}" if name in own else name] = value
    try:
        executor = submitit.AutoExecutor(folder=out / FOLDER, cluster=cluster)
        executor.update_parameters(**named)
    except Exception as error:  # submitit raises assertions, NameErrors and others
        raise UserError(f"--slurm: {one_line(error)}") from error
    return executor


def _result(submitted: Any, job: Job) -> Ending | Bug:
    """Return what a job of submitit's has ended with."""
    try:
        result: Ending | Bug = submitted.result()
    except Exception as error:  # a job that was cancelled, killed or failed before it began
        log = submitted.paths.stderr
        problem = f"{job.run_dir.name}: its job {submitted.job_id} ended ({one_line(error)})"
        return Ending(problem=f"{problem}; log: {log}; the same command resumes it")
    return result
