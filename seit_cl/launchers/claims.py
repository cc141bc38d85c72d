"""The runs of a grid that this process makes, where others may make runs of the same folder.

A process claims a run by the lock of its folder, when the run's turn comes. It passes over runs
that others have claimed, and takes up those of them that have ended unfinished when all others of
the grid are made.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from seit_cl.core.errors import UserError
from seit_cl.core.locks import Held, require_free
from seit_cl.core.ranks import Ranks
from seit_cl.experiment.finished import is_finished
from seit_cl.experiment.observed_run import FINISHED_ELSEWHERE
from seit_cl.launchers.bars import GridBars
from seit_cl.launchers.jobs import Ending, Job

_FREE, _FINISHED, _HELD = "free", "finished", "held"


class Claims:
    """Runs, given out one after the other to the launcher that makes them.

    Args:
        jobs: the runs, none of which was finished when the grid was planned.
        observer: of all runs; it is told of those that another process has finished.
        ranks: processes that make each run together; the first one looks, and all do the same.
    """

    def __init__(self, jobs: Sequence[Job], observer: GridBars, ranks: Ranks) -> None:
        self._jobs = jobs
        self._observer = observer
        self._ranks = ranks
        self._others: dict[Job, str] = {}  # runs that others make, with a line about each

    def free(self) -> Iterator[Job]:
        """Give out the runs that no other process is making when their turn comes."""
        return self._given_out(self._jobs)

    def left_over(self) -> Iterator[Job]:
        """Give out those of the others' runs that no process is making any more."""
        passed_over = {**self._others, **self._observer.held}
        self._others.clear()
        self._observer.held.clear()
        return self._given_out(passed_over)

    def still_others(self) -> list[str]:
        """A line for each run that another process is still making."""
        passed_over = {**self._others, **self._observer.held}
        lines = []
        for job, line in passed_over.items():
            state, _ = self._look(job)
            if state != _FINISHED:
                lines.append(line)
        return lines

    def _given_out(self, jobs: Iterable[Job]) -> Iterator[Job]:
        for job in jobs:
            seen = self._look(job) if self._ranks.is_first else []
            state, line = self._ranks.of_first(seen)
            if state == _HELD:
                self._others[job] = line
            elif state == _FINISHED:
                self._observer.begin(job)
                self._observer.end(job, Ending((FINISHED_ELSEWHERE,)))
            else:
                yield job

    def _look(self, job: Job) -> list[str]:
        """The state of a run, and a line about the process that makes it."""
        try:
            require_free(job.run_dir)
            return [_FINISHED if is_finished(job.config, job.run_dir) else _FREE, ""]
        except Held as held:
            return [_HELD, str(held)]
        except UserError:  # which the run itself will end with
            return [_FREE, ""]
