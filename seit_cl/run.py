"""`python -m seit_cl.run`: read the command line, run the grid's experiments, make the report."""

from __future__ import annotations

import contextlib
import shlex
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress, TaskID

from seit_cl.config import RunConfig
from seit_cl.core.cli import run_command
from seit_cl.core.devices import limit_threads
from seit_cl.core.errors import UserError
from seit_cl.core.files import make_writable_folder
from seit_cl.core.progress import progress_bars
from seit_cl.data.scenario_recipe import preset_text
from seit_cl.experiment.events import StepInfo
from seit_cl.experiment.experiment import Experiment
from seit_cl.experiment.jobs import Ending, Job, Observer, Update, open_workers
from seit_cl.experiment.observed_run import run_observed, share_done, status_line
from seit_cl.experiment.run_data import RunData
from seit_cl.experiment.shared_data import open_data
from seit_cl.experiment.tracking import Kind
from seit_cl.grid import PROGRAM, expand, is_finished, parse, preset_options, run_folder
from seit_cl.reporting.build import build_report
from seit_cl.reporting.loading import load_summary
from seit_cl.reporting.summary import terminal_summary
from seit_cl.results import run_files

INTERRUPTED = 130  # exit code, as shells report SIGINT


def run_grid(
    configs: list[RunConfig],
    out: Path,
    console: Console,
    tracker: Kind = "none",
    jobs: int = 1,
) -> list[str]:
    """Run every unfinished run of a grid, after all of them are checked.

    Args:
        configs: the grid's runs.
        out: folder of the results, with a folder for each run.
        console: gets messages and, if it is a terminal, progress bars.
        tracker: logs each run to TensorBoard or Weights & Biases.
        jobs: number of runs beside one another; above 1, each is in a process of its own.

    Returns:
        One line for each run that failed with a UserError or whose process died; the other runs
        continue.

    Raises:
        UserError: options that do not fit the data, or results of other options or data in `out`.
    """
    unfinished = [config for config in configs if not is_finished(config, run_folder(out, config))]
    finished = len(configs) - len(unfinished)
    if finished:
        console.print(f"{finished} of {len(configs)} runs are finished already")
    if not unfinished:
        return []
    with progress_bars(console) as bars:
        data = open_data(unfinished, out, bars, shared=jobs > 1)
        experiments = _build_experiments(unfinished, data, out)
        grid_bars = _GridBars(bars, len(experiments))
        if jobs > 1:
            # A single run too: the number of threads, which the numbers depend on, is that of jobs.
            runs = [Job(e.config, e.run_dir, e.command, tracker) for e in experiments]
            experiments.clear()  # which the workers build again
            with open_workers(jobs, data) as workers:
                workers.run(runs, grid_bars)
        else:
            for experiment in experiments:
                _run_here(experiment, tracker, grid_bars)
    return grid_bars.problems


def _build_experiments(configs: list[RunConfig], data: RunData, out: Path) -> list[Experiment]:
    """Build all runs, which checks their options; runs that are equal on this data are built once.

    Raises:
        UserError: options that do not fit the data.
    """
    command = f"{PROGRAM} {shlex.join(sys.argv[1:])}"
    experiments: dict[RunConfig, Experiment] = {}
    for config in configs:
        experiment = Experiment(config, data, run_folder(out, config), command)
        spec = "" if experiment.memory is None else experiment.memory.fmt.spec
        experiments.setdefault(replace(config, format=spec), experiment)
    return list(experiments.values())


def _run_here(experiment: Experiment, tracker: Kind, observer: Observer) -> None:
    """Run an experiment in this process."""
    job = Job(experiment.config, experiment.run_dir, experiment.command, tracker)

    def on_step(info: StepInfo) -> None:
        observer.update(job, Update(share_done(info), status_line(experiment, info)))

    observer.begin(job)
    try:
        ending = Ending(tuple(run_observed(experiment, tracker, on_step)))
    except UserError as error:
        ending = Ending(problem=str(error))
    observer.end(job, ending)


class _GridBars:
    """A bar for every run in progress, and one that counts the runs of the grid.

    Args:
        bars: where they are drawn; their console gets what is said about runs that end.
        count: number of runs.
    """

    def __init__(self, bars: Progress, count: int) -> None:
        self._bars = bars
        self._grid_task = bars.add_task(f"{count} runs", total=count, visible=count > 1)
        self._titles: dict[Job, str] = {}
        self._tasks: dict[Job, TaskID] = {}
        self._shares: dict[Job, float] = {}
        self.problems: list[str] = []  # of the runs that failed

    def begin(self, job: Job) -> None:
        """Add the bar of a run."""
        title = f"run {len(self._titles) + 1}"
        self._titles[job] = title
        self._tasks[job] = self._bars.add_task(title, total=1.0)
        if self._bars.console.is_terminal:
            self._bars.console.print(f"{title}: {job.run_dir.name}", markup=False)

    def update(self, job: Job, update: Update) -> None:
        """Move the bar of a run, and that of the grid."""
        text = f"{self._titles[job]}: {update.text}"
        self._bars.update(self._tasks[job], completed=update.share, description=text)
        self._count(job, update.share)

    def end(self, job: Job, ending: Ending) -> None:
        """Remove the bar of a run and print what it has ended with."""
        self._bars.remove_task(self._tasks[job])
        self._count(job, 1.0)
        console = self._bars.console
        for note in ending.notes:
            console.print(f"{job.run_dir.name}: {note}")
        if ending.problem:
            self.problems.append(ending.problem)
            console.print(f"error: {ending.problem}", markup=False)

    def _count(self, job: Job, share: float) -> None:
        self._shares[job] = share
        self._bars.update(self._grid_task, completed=sum(self._shares.values()))


def main() -> None:
    """Run the command."""
    options = parse(sys.argv[1:])
    console = Console(soft_wrap=True)
    limit_threads()
    configs = expand(options)
    _print_defaults(options, console)
    out = options.out or _default_out(options.data_root)
    make_writable_folder(out, "--out")
    try:
        failures = run_grid(configs, out, console, options.tracker, options.jobs)
    except KeyboardInterrupt:
        arguments = sys.argv[1:] if options.out else [*sys.argv[1:], "--out", str(out)]
        console.print(f"interrupted; this resumes: {PROGRAM} {shlex.join(arguments)}")
        sys.exit(INTERRUPTED)
    finally:
        with contextlib.suppress(OSError):
            out.rmdir()  # succeeds only where no run began
    if failures and not run_files.read_runs(out):
        raise UserError(failures[0])
    report = build_report(out)
    terminal_summary(load_summary(out))
    console.print(f"results: {out / 'summary.csv'}; report: {report}")
    if failures:
        raise UserError(f"{len(failures)} of {len(configs)} runs failed; the first: {failures[0]}")


def _print_defaults(options: Any, console: Console) -> None:
    """Print the preset's options, and that the built-in images stand in for missing data."""
    if options.preset:
        names = preset_options(options.scenario)
        preset = {name: getattr(options, name) for name in names}
        console.print(f"--preset: {preset_text(preset)}")
    if options.data_root is None:
        console.print(
            "no --data-root: running on the built-in fractals; for ImageNet give --data-root DIR "
            "with train/<class>/* and val/<class>/*"
        )


def _default_out(data_root: Path | None) -> Path:
    """Name the folder of the results after the time and the data."""
    name = data_root.resolve().name if data_root else "fractals"
    return Path("runs") / f"{time.strftime('%Y%m%d-%H%M%S')}-{name}"


if __name__ == "__main__":
    run_command(main)
