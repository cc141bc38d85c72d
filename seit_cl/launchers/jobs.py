"""Runs that a launcher makes, what it reports on them, and making one in a worker."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from seit_cl.config import RunConfig, TrackerKind
from seit_cl.core.errors import UserError
from seit_cl.core.locks import Held
from seit_cl.core.system_errors import is_out_of_memory, system_error_line
from seit_cl.experiment.events import StepInfo
from seit_cl.experiment.experiment import Experiment
from seit_cl.experiment.observed_run import run_observed, share_done, status_line
from seit_cl.experiment.run_data import RunData


@dataclass(frozen=True)
class Job:
    """A run to be made.

    Args:
        config: its options.
        run_dir: its folder.
        command: as typed by the user, for environment.json.
        tracker: where it is logged.
    """

    config: RunConfig
    run_dir: Path
    command: str = ""
    tracker: TrackerKind = "none"


@dataclass(frozen=True)
class Update:
    """Message of a run in progress.

    Args:
        share: of the run that is done, from 0 to 1.
        text: describes it.
    """

    share: float
    text: str


@dataclass(frozen=True)
class Ending:
    """Message of a run that has ended.

    Args:
        notes: on its memory, one line each.
        problem: why it failed, in one line; "" for a finished run.
        held: True where another process is making it, as `problem` says.
    """

    notes: tuple[str, ...] = ()
    problem: str = ""
    held: bool = False


@dataclass(frozen=True)
class Bug:
    """Message of a run that raised an error other than a UserError.

    Args:
        text: its traceback.
        line: about an error of the machine, or "".
    """

    text: str
    line: str = ""


class OutOfMemory(Exception):
    """A run needed more memory than its worker has."""


class Observer(Protocol):
    """Receiver of news about the runs, in the parent process."""

    def begin(self, job: Job) -> None:
        """A run begins."""

    def update(self, job: Job, update: Update) -> None:
        """A run is in progress."""

    def end(self, job: Job, ending: Ending) -> None:
        """A run has ended."""


class Launcher(Protocol):
    """A place where runs are made."""

    def run(self, jobs: Iterable[Job], observer: Observer) -> None:
        """Make runs; one that fails, or whose worker is lost, ends with a problem.

        Args:
            jobs: one is taken whenever there is room for it.
            observer: is told when a run begins, of its progress and when it ends.

        Raises:
            UserError: a run met an error of the machine, such as a disk without room.
            RuntimeError: a run raised something else than a UserError, whose traceback is given.
        """


def make_run(
    job: Job, open_data: Callable[[], RunData], report: Callable[[Update], None], interval: float
) -> Ending | Bug:
    """Make a run in a worker, and return what it has ended with.

    Args:
        job: the run.
        open_data: returns its data.
        report: is told of its progress.
        interval: seconds between two reports.

    Raises:
        OutOfMemory: the worker's memory has ended; the process cannot be used further.
    """
    try:
        return Ending(tuple(_make(job, open_data(), report, interval)))
    except Held as error:
        return Ending(problem=str(error), held=True)
    except UserError as error:
        return Ending(problem=str(error))
    except Exception as error:
        if is_out_of_memory(error):
            raise OutOfMemory from error
        return Bug(traceback.format_exc(), system_error_line(error) or "")


def _make(job: Job, data: RunData, report: Callable[[Update], None], interval: float) -> list[str]:
    """Make a run and return notes on its memory."""
    experiment = Experiment(job.config, data, job.run_dir, job.command)
    last = 0.0

    def on_step(info: StepInfo) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= interval:
            last = now
            report(Update(share_done(info), status_line(experiment, info)))

    return run_observed(experiment, job.tracker, on_step)


def end_run(job: Job, message: Ending | Bug, observer: Observer) -> None:
    """Tell the observer how a run has ended.

    Raises:
        UserError: it met an error of the machine.
        RuntimeError: it raised something else than a UserError.
    """
    if isinstance(message, Bug):
        bug = RuntimeError(f"{job.run_dir.name} failed in its process:\n{message.text}")
        if message.line:
            raise UserError(f"{job.run_dir.name}: {message.line}") from bug
        raise bug
    observer.end(job, message)
