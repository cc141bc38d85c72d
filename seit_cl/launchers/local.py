"""Runs beside one another in worker processes, which share one copy of the data.

The parent gives each worker a run, and the next one when it has ended. Every worker has a pipe of
its own, so that one that is killed blocks no other. A worker whose parent is gone ends at its next
message.
"""

from __future__ import annotations

import multiprocessing
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import NoReturn

import torch

from seit_cl.core.devices import share_machine
from seit_cl.experiment.run_data import RunData, SharedRunData
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

INTERVAL = 0.2  # seconds between two messages on the progress of a run
PATIENCE = 10.0  # seconds in which a worker that is stopped has to end
OUT_OF_MEMORY = 77  # exit code of a worker


@contextmanager
def open_workers(count: int, data: RunData) -> Iterator[Workers]:
    """Provide worker processes; when the block ends or raises, they end too.

    A run in progress is then stopped and can be resumed.

    Args:
        count: number of runs beside one another. Each has its part of the CPU's cores, of main
            memory and of the device's memory, even where there are fewer runs.
        data: of all runs, made with `shared`; what it has loaded is shared.
    """
    workers = Workers(count, data.share())
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()  # the workers need what tokenizing has left allocated
    try:
        yield workers
    finally:
        workers.close()


class Workers:
    """Worker processes, started when they are needed.

    Args:
        count: their number.
        data: of all runs.
    """

    def __init__(self, count: int, data: SharedRunData) -> None:
        self._count = count
        self._data = data
        self._processes: dict[Connection, SpawnProcess] = {}
        self._jobs: dict[Connection, Job] = {}  # in progress

    def run(self, jobs: Iterable[Job], observer: Observer) -> None:
        """Make runs, each in the worker that is free first.

        A run that fails, or whose worker dies, ends with a problem, and the others go on.

        Args:
            jobs: one is taken whenever a worker is free.
            observer: is told when a run begins, of its progress and when it ends.

        Raises:
            UserError: a run met an error of the machine, such as a disk without room.
            RuntimeError: a run raised something else than a UserError, whose traceback is given.
        """
        waiting = iter(jobs)
        while True:
            self._fill(waiting, observer)
            if not self._jobs:
                return
            for connection in wait(list(self._jobs)):
                assert isinstance(connection, Connection)
                self._receive(connection, observer)

    def _fill(self, waiting: Iterator[Job], observer: Observer) -> None:
        """Give every free worker a run."""
        while len(self._jobs) < self._count:
            job = next(waiting, None)
            if job is None:
                return
            connection = self._free_worker()
            self._jobs[connection] = job
            observer.begin(job)
            with suppress(OSError):  # of a worker that died just now, which `_receive` will see
                connection.send(job)

    def _free_worker(self) -> Connection:
        """A worker without a run, started where there is none."""
        for connection, process in self._processes.items():
            if connection not in self._jobs and process.is_alive():
                return connection
        context = multiprocessing.get_context("spawn")  # a forked process cannot use CUDA
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(theirs, self._data, self._count), daemon=True)
        with _without_interrupts():
            process.start()
            theirs.close()
            self._processes[ours] = process
        return ours

    def _receive(self, connection: Connection, observer: Observer) -> None:
        """Take a message of a worker, or note that it has died."""
        job = self._jobs[connection]
        try:
            message = connection.recv()
        except (EOFError, OSError):
            message = Ending(problem=f"{job.run_dir.name}: {self._bury(connection)}")
        if isinstance(message, Update):
            observer.update(job, message)
            return
        del self._jobs[connection]
        end_run(job, message, observer)

    def _bury(self, connection: Connection) -> str:
        """Remove a worker that has died, and say what happened and what to do."""
        process = self._processes.pop(connection)
        connection.close()
        process.join(PATIENCE)
        process.kill()  # if it hangs at its exit
        process.join()
        code = process.exitcode or 0
        if code == OUT_OF_MEMORY:
            return "out of memory; the same command resumes it, fewer --jobs need less memory"
        reason = f"ended with exit code {code}"
        if code < 0:
            reason = f"was killed by {signal.Signals(-code).name}"
            if -code == signal.SIGKILL:
                reason += ", perhaps because memory ran out"
        return f"its process {reason}; the same command resumes it"

    def close(self) -> None:
        """End all workers, and wait until they have."""
        for connection, process in self._processes.items():
            if connection in self._jobs:
                process.terminate()
            connection.close()  # which a worker without a run is waiting for
        deadline = time.monotonic() + PATIENCE
        try:
            for process in self._processes.values():
                process.join(max(0.0, deadline - time.monotonic()))
        finally:
            for process in self._processes.values():
                process.kill()
                process.join()


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Let Ctrl-C wait until the block ends, and a process that is started here never see it.

    A terminal sends it to the parent, which stops the workers, and to the workers themselves. The
    signal mask, which a process inherits, holds in this thread alone: another thread, such as one
    of torch's, may take the signal, whose handler then runs here. So it only makes a note.
    """
    noted: list[int] = []
    handler = signal.getsignal(signal.SIGINT)
    defers = callable(handler) and threading.current_thread() is threading.main_thread()
    resource_tracker.ensure_running()  # its start would unblock the signal
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    if defers:
        signal.signal(signal.SIGINT, lambda number, frame: noted.append(number))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)  # which delivers a blocked one
        if defers:
            signal.signal(signal.SIGINT, handler)
            if noted:
                signal.raise_signal(signal.SIGINT)


def _work(connection: Connection, shared: SharedRunData, count: int) -> None:
    """Make one run after the other until the parent closes the pipe or stops the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _stop)
    share_machine(count)
    opened: list[RunData] = []

    def open_data() -> RunData:
        if not opened:
            opened.append(shared.open())
        return opened[0]

    while True:
        try:
            job = connection.recv()
        except (EOFError, OSError):
            return
        try:
            message = make_run(job, open_data, lambda update: _send(connection, update), INTERVAL)
        except OutOfMemory:
            sys.exit(OUT_OF_MEMORY)
        _send(connection, message)


def _stop(number: int, frame: object) -> NoReturn:
    """End the process as at a normal exit, so that trackers write what they hold."""
    sys.exit(128 + number)


def _send(connection: Connection, message: Update | Ending | Bug) -> None:
    """Send a message, or end the process if the parent is gone."""
    try:
        connection.send(message)
    except OSError:
        sys.exit()  # no error of the run, which stays resumable
