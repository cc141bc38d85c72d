"""Progress of a grid's runs for people: bars on a terminal, and a line for every run that ends."""

from __future__ import annotations

import time

from rich.progress import Progress, TaskID

from seit_cl.core.numbers import duration
from seit_cl.experiment.memory_notes import WARNING
from seit_cl.launchers.jobs import Ending, Job, Update
from seit_cl.results.outcome import outcome_text
from seit_cl.results.run_files import read_run


class GridBars:
    """A bar for every run in progress, and one that counts the runs of the grid; an `Observer`.

    Args:
        bars: where they are drawn; their console gets the lines.
        count: number of runs.
        advice: print the notes on a run's memory that are no warnings, such as a better budget.
    """

    def __init__(self, bars: Progress, count: int, advice: bool = True) -> None:
        self._bars = bars
        self._count = count
        self._advice = advice
        self._ended = 0
        self._began = time.monotonic()
        self._grid_task = bars.add_task(f"0 of {count} runs", total=count, visible=count > 1)
        self._titles: dict[Job, str] = {}
        self._tasks: dict[Job, TaskID] = {}
        self._shares: dict[Job, float] = {}
        self.problems: list[str] = []  # of the runs that failed
        self.held: dict[Job, str] = {}  # runs that another process is making, with a line each

    def begin(self, job: Job) -> None:
        """Add the bar of a run."""
        title = self._titles.setdefault(job, f"run {len(self._titles) + 1}")
        self._tasks[job] = self._bars.add_task(title, total=1.0)
        if self._bars.console.is_terminal:
            self._bars.console.print(f"{title}: {job.run_dir.name}", markup=False)

    def update(self, job: Job, update: Update) -> None:
        """Move the bar of a run, and that of the grid."""
        text = f"{self._titles[job]}: {update.text}"
        self._bars.update(self._tasks[job], completed=update.share, description=text)
        self._share(job, update.share)

    def end(self, job: Job, ending: Ending) -> None:
        """Remove the bar of a run and print what it has ended with."""
        self._bars.remove_task(self._tasks.pop(job))
        if ending.held:
            self.held[job] = ending.problem
            self._share(job, 0.0)
            return
        self._ended += 1
        self._share(job, 1.0)
        if ending.problem:
            self.problems.append(ending.problem)
            self._print(f"{self._place()}error: {ending.problem}")
            return
        outcome = outcome_text(read_run(job.run_dir))
        self._print(f"{self._place()}{job.run_dir.name}: {outcome}{self._time_left()}")
        for note in ending.notes:
            if self._advice or note.startswith(WARNING):
                self._print(f"{job.run_dir.name}: {note}")

    def _place(self) -> str:
        """The number of the run among those that have ended; "" where there is one run."""
        return f"{self._ended} of {self._count}: " if self._count > 1 else ""

    def _time_left(self) -> str:
        """Words on the time that the other runs take at the pace so far; "" for the last one."""
        if self._ended == self._count:
            return ""
        seconds = (time.monotonic() - self._began) / self._ended * (self._count - self._ended)
        return f"; about {duration(seconds)} left"

    def _print(self, line: str) -> None:
        """Print a line as it is, which no terminal's width breaks into columns."""
        self._bars.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _share(self, job: Job, share: float) -> None:
        self._shares[job] = share
        text = f"{self._ended} of {self._count} runs"
        total = sum(self._shares.values())
        self._bars.update(self._grid_task, completed=total, description=text)
