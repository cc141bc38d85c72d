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
from seit_cl.experiment.events import ExperienceInfo, StepInfo
from seit_cl.experiment.experiment import Experiment
from seit_cl.experiment.memory_notes import memory_notes
from seit_cl.experiment.run_data import RunData
from seit_cl.experiment.shared_data import open_data
from seit_cl.experiment.tracking import Kind, open_tracker
from seit_cl.grid import PROGRAM, expand, is_finished, parse, preset_options, run_folder
from seit_cl.reporting.build import build_report
from seit_cl.reporting.loading import load_summary
from seit_cl.reporting.summary import terminal_summary
from seit_cl.results import run_files

INTERRUPTED = 130  # exit code, as shells report SIGINT


def run_grid(
    configs: list[RunConfig], out: Path, console: Console, tracker: Kind = "none"
) -> list[str]:
    """Run every unfinished run of a grid, after all of them are checked.

    Args:
        configs: the grid's runs.
        out: folder of the results, with a folder for each run.
        console: gets messages and, if it is a terminal, progress bars.
        tracker: logs each run to TensorBoard or Weights & Biases.

    Returns:
        One line for each run that failed with a UserError; the other runs continue.

    Raises:
        UserError: options that do not fit the data, or results of other options or data in `out`.
    """
    unfinished = [config for config in configs if not is_finished(config, run_folder(out, config))]
    finished = len(configs) - len(unfinished)
    if finished:
        console.print(f"{finished} of {len(configs)} runs are finished already")
    if not unfinished:
        return []
    failures = []
    with progress_bars(console) as bars:
        data = open_data(unfinished, out, bars)
        experiments = _build_experiments(unfinished, data, out)
        count = len(experiments)
        grid_task = bars.add_task(f"{count} runs", total=count, visible=count > 1)
        for number, experiment in enumerate(experiments, 1):
            try:
                run_one(experiment, bars, number, grid_task, tracker)
            except UserError as error:
                failures.append(str(error))
                console.print(f"error: {error}", markup=False)
    return failures


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


def run_one(
    experiment: Experiment, bars: Progress, number: int, grid_task: TaskID, tracker_kind: Kind
) -> None:
    """Run an experiment under a progress bar of its own.

    Args:
        experiment: the run.
        bars: where its bar is drawn.
        number: of the run in its grid, from 1.
        grid_task: the bar of the whole grid, which counts runs.
        tracker_kind: where the run is logged.
    """
    title = f"run {number}"
    console = bars.console
    task = bars.add_task(title, total=1.0)
    if console.is_terminal:
        console.print(f"{title}: {experiment.run_dir.name}", markup=False)
    tracker = open_tracker(tracker_kind, experiment.config, experiment.run_dir)

    def on_step(info: StepInfo) -> None:
        epochs_done = info.experience * info.epochs + info.epoch + info.step / info.steps
        share_done = epochs_done / (info.experiences * info.epochs)
        text = f"{title}: {status_line(experiment, info)}"
        bars.update(task, completed=share_done, description=text)
        bars.update(grid_task, completed=number - 1 + share_done)
        if tracker is not None:
            tracker.step(info)

    def on_experience(info: ExperienceInfo) -> None:
        if tracker is not None:
            tracker.experience(info)

    try:
        experiment.run(on_step, on_experience)
    finally:
        bars.remove_task(task)
        if tracker is not None:
            tracker.close()
    for note in memory_notes(experiment.memory, len(experiment.class_names)):
        console.print(f"{experiment.run_dir.name}: {note}")


def status_line(experiment: Experiment, info: StepInfo) -> str:
    """Describe a run in progress: experience, epoch, speed, memory used and accuracy so far."""
    speed = info.samples / max(info.seconds, 1e-9)
    parts = [
        f"experience {info.experience + 1}/{info.experiences}",
        f"epoch {min(info.epoch + 1, info.epochs)}/{info.epochs}",
        f"{speed:,.0f} images/s",
    ]
    memory = experiment.memory
    if memory is not None:
        parts.append(f"memory {100 * memory.used_bytes / memory.budget_bytes:.0f} %")
    if experiment.accuracy_so_far is not None:
        parts.append(f"accuracy {100 * experiment.accuracy_so_far:.1f} %")
    return " ".join(parts)


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
        failures = run_grid(configs, out, console, options.tracker)
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
