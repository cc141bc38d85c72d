"""The runs of a comparison: in parallel processes, none twice, each with a line when it ends."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from seit_cl.config import RunConfig
from seit_cl.core.progress import progress_bars
from seit_cl.experiment.finished import is_finished
from seit_cl.experiment.shared_data import open_data
from seit_cl.grid import run_folder, run_id
from seit_cl.launch import Launch
from seit_cl.launchers.jobs import Ending, Job, Launcher, Update
from seit_cl.launchers.opening import open_launcher
from seit_cl.reporting.grouping import budget_binds
from seit_cl.results.outcome import outcome_text
from seit_cl.results.run_files import Run, read_run


class Pool:
    """A launcher for the runs of all stages; it is started when a run is missing.

    Args:
        launch: where the runs are made.
        learners: of all stages, whose data are opened with the first runs.
        out: folder of the results.
        command: as typed, for environment.json.
        console: gets a line for every run that ends.
    """

    def __init__(
        self, launch: Launch, learners: Sequence[str], out: Path, command: str, console: Console
    ) -> None:
        self._launch = launch
        self._learners = learners
        self._out = out
        self._command = command
        self._console = console
        self._stack = ExitStack()
        self._launcher: Launcher | None = None

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *error: object) -> None:
        """Stop what it started; runs in progress can be resumed."""
        self._stack.close()

    def run_all(self, configs: list[RunConfig]) -> None:
        """Run all configurations; one that fails for bad input is printed and the others go on.

        Args:
            configs: unfinished runs on the same data.

        Raises:
            UserError: bad data, or results of other data in the folder of the results.
        """
        if self._launcher is None:
            self._launcher = self._open_launcher(configs[0])
        lines = _Lines(len(configs), self._console)
        self._launcher.run(self._missing(configs, lines), lines)

    def _open_launcher(self, config: RunConfig) -> Launcher:
        of_learners = [replace(config, learner=learner) for learner in self._learners]  # type: ignore[arg-type]
        with progress_bars(self._console) as bars:
            data = open_data(of_learners, self._out, bars, self._launch.shares_memory)
            if data.dataset.has_images:
                data.preload_pixels()  # of which the JPEGs in memory are made
        return self._stack.enter_context(open_launcher(self._launch, data, self._out))

    def _missing(self, configs: list[RunConfig], lines: _Lines) -> Iterator[Job]:
        """Yield the runs that no finished one stands for when their turn comes."""
        for config in configs:
            job = Job(config, run_folder(self._out, config), self._command)
            equal = finished_run(config, self._out)
            if equal is None:
                yield job
            else:
                same = f"{equal.run_id} did not fill its memory, so this would be the same run"
                lines.add(run_id(config), f"left out: {same}")


class _Lines:
    """A line for every run that ends, with the time that the others will take.

    Args:
        count: number of runs.
        console: gets the lines.
    """

    def __init__(self, count: int, console: Console) -> None:
        self._count = count
        self._console = console
        self._done = 0
        self._began = time.monotonic()

    def add(self, name: str, outcome: str) -> None:
        """Print the line of a run."""
        self._done += 1
        seconds_each = (time.monotonic() - self._began) / self._done
        minutes_left = seconds_each * (self._count - self._done) / 60
        line = f"{self._done}/{self._count} {name}: {outcome}; about {minutes_left:.0f} min left"
        self._console.print(line, highlight=False, markup=False)

    def begin(self, job: Job) -> None:
        """Say nothing."""

    def update(self, job: Job, update: Update) -> None:
        """Say nothing."""

    def end(self, job: Job, ending: Ending) -> None:
        """Print the outcome of a run."""
        outcome = f"error: {ending.problem}"
        if not ending.problem:
            outcome = ", ".join([outcome_text(read_run(job.run_dir)), *ending.notes])
        self.add(run_id(job.config), outcome)


def finished_run(config: RunConfig, out: Path) -> Run | None:
    """Return the finished run of a configuration, or an equal one of a smaller budget.

    A run whose memory did not fill is the same run at every larger budget.

    Args:
        config: of the run.
        out: folder of the results.
    """
    own = run_folder(out, config)
    if is_finished(config, own):
        return read_run(own)
    kind, _, _ = own.name.partition(f"_{config.memory_mb:.12g}MB_")
    for path in sorted(out.glob(f"{kind}_*MB_*seed{config.seed}*/facts.json")):
        run = read_run(path.parent)
        budget = float(run.config.get("memory_mb", math.inf))
        smaller = replace(config, memory_mb=budget)
        if run.status != "finished" or run.path != run_folder(out, smaller):
            continue
        if budget >= config.memory_mb or budget_binds(run):
            continue
        if is_finished(smaller, path.parent):
            return run
    return None
