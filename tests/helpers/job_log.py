"""An observer of runs in worker processes, which tests read afterwards."""

from __future__ import annotations

import multiprocessing
import os
import signal

from seit_cl.launchers.jobs import Ending, Job, Update


class JobLog:
    """An observer that notes what it is told; it may kill the worker of a run that has begun."""

    def __init__(self, kill: str = "") -> None:
        self.kill = kill
        self.shares: list[float] = []
        self.endings: dict[str, Ending] = {}
        self.most_workers = 0

    def begin(self, job: Job) -> None:
        """Note the number of workers."""
        self.most_workers = max(self.most_workers, len(multiprocessing.active_children()))

    def update(self, job: Job, update: Update) -> None:
        """Kill the worker if this is the run to kill, which is made by one worker alone."""
        self.shares.append(update.share)
        if job.run_dir.name == self.kill:
            (worker,) = multiprocessing.active_children()
            assert worker.pid is not None
            os.kill(worker.pid, signal.SIGKILL)

    def end(self, job: Job, ending: Ending) -> None:
        """Note how a run ended."""
        assert job.run_dir.name not in self.endings
        self.endings[job.run_dir.name] = ending
