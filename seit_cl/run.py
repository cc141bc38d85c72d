"""`python -m seit_cl.run`: read the command line, run the grid's experiments, make the report."""

from __future__ import annotations

import contextlib
import shlex
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, TaskID

from seit_cl.config import RunConfig
from seit_cl.core.cli import run_command
from seit_cl.core.devices import limit_threads
from seit_cl.core.errors import UserError
from seit_cl.core.progress import ImageBar, progress_bars
from seit_cl.data.scenario_recipe import preset_text
from seit_cl.experiment.events import ExperienceInfo, StepInfo
from seit_cl.experiment.experiment import Experiment
from seit_cl.experiment.modality import MODALITIES, build_modality
from seit_cl.experiment.run_data import RunData
from seit_cl.experiment.tracking import Kind, open_tracker
from seit_cl.grid import expand, is_finished, parse, preset_options, run_folder
from seit_cl.report import build_report
from seit_cl.reporting.loading import load_summary
from seit_cl.reporting.summary import terminal_summary
from seit_cl.results import run_files


def _data_progress(bars: Progress) -> Callable[[str, int, int], None]:
    """Bars for the loading of data, one for each action, that go when all images are done."""
    image_bars: dict[tuple[str, int], ImageBar] = {}

    def report(action: str, done: int, total: int) -> None:
        key = (action, total)
        if key not in image_bars:
            image_bars[key] = ImageBar(bars, action, total)
        image_bars[key].set(done)
        if done == total:
            image_bars.pop(key).remove()

    return report


def run_grid(
    configs: list[RunConfig], out: Path, console: Console, tracker: Kind = "none"
) -> list[str]:
    """Run what is not finished yet, one after the other; every run is checked before the first one starts.

    Args:
        configs: the grid's runs.
        out: the folder of their folders.
        console: where progress shows, if it is a terminal.
        tracker: where the course of each run is shown as well.

    Returns:
        One line for each run that failed by what a user can mend; the others went on.

    Raises:
        UserError: options that do not fit the data, or results of other options or other data in `out`.
    """
    waiting = [c for c in configs if not is_finished(c, run_folder(out, c))]
    if len(waiting) < len(configs):
        console.print(f"{len(configs) - len(waiting)} of {len(configs)} runs are finished already")
    if not waiting:
        return []
    command = "python -m seit_cl.run " + shlex.join(sys.argv[1:])
    failures = []
    with progress_bars(console) as bar:
        data = open_data(waiting, out, bar)
        experiments: dict[RunConfig, Experiment] = {}
        for config in waiting:
            checked = Experiment(config, data, run_folder(out, config), command)
            spec = checked.memory.fmt.spec if checked.memory is not None else ""
            experiments.setdefault(replace(config, format=spec), checked)
        everything = bar.add_task(
            f"{len(experiments)} runs", total=len(experiments), visible=len(experiments) > 1
        )
        for number, checked in enumerate(experiments.values(), 1):
            try:
                run_one(checked, bar, number, everything, tracker)
            except UserError as error:
                failures.append(str(error))
                console.print(f"error: {error}", markup=False)
    return failures


def open_data(configs: list[RunConfig], out: Path, bar: Progress) -> RunData:
    """The data of a grid, with a word on what it is, made for all of its learners.

    Raises:
        UserError: bad data, or `out` has results from other images or another tokenizer.
    """
    data = RunData(configs[0], _data_progress(bar))
    dataset, console = data.dataset, bar.console
    console.print(
        f"dataset {dataset.name}: {len(dataset.classes)} classes, {len(dataset.train)} train and "
        f"{len(dataset.val)} val images at {data.resolution} px"
        + (dataset.held_out and f"; {dataset.held_out}")
    )
    if dataset.skipped:
        names = ", ".join(str(path) for path in dataset.skipped[:3]) + (
            ", …" if len(dataset.skipped) > 3 else ""
        )
        console.print(
            f"warning: {len(dataset.skipped)} unreadable images are left out: {names}", markup=False
        )
    need_tokenizer = any(MODALITIES[c.learner].uses_tokenizer for c in configs)
    for run in run_files.read_runs(out) if out.is_dir() else []:
        for name, value in data.identity.items():
            matters = name != "tokenizer_identity" or (
                need_tokenizer and "tokenizer_identity" in run.environment
            )
            if matters and run.environment.get(name, value) != value:
                raise UserError(
                    f"--out {out}: {run.run_id} was made with another {name}; choose another --out"
                )
    for learner in {c.learner: None for c in configs}:
        build_modality(learner, data).prepare()
    return data


def run_one(
    experiment: Experiment, bar: Progress, number: int, everything: TaskID, kind: Kind = "none"
) -> None:
    """Run an experiment under a bar of its own, which goes when it ends.

    Args:
        experiment: the run.
        bar: where its bar is drawn.
        number: of the run in its grid, from 1.
        everything: the task of the whole grid, which counts runs.
        kind: of tracker.
    """
    title = f"run {number}"
    task = bar.add_task(title, total=1.0)
    if bar.console.is_terminal:
        bar.console.print(f"{title}: {experiment.run_dir.name}", markup=False)
    tracker = open_tracker(kind, experiment.config, experiment.run_dir)

    def on_step(info: StepInfo) -> None:
        """Move the bars, and send the step to the tracker."""
        epochs_done = info.experience * info.epochs + info.epoch + info.step / info.steps
        done = epochs_done / (info.experiences * info.epochs)
        bar.update(task, completed=done, description=f"{title}: {standing(experiment, info)}")
        bar.update(everything, completed=number - 1 + done)
        if tracker is not None:
            tracker.step(info)

    def on_experience(info: ExperienceInfo) -> None:
        """Send the experience's results to the tracker."""
        if tracker is not None:
            tracker.experience(info)

    try:
        experiment.run(on_step, on_experience)
    finally:
        bar.remove_task(task)
        if tracker is not None:
            tracker.close()
    say_of_memory(experiment, bar.console)


def standing(experiment: Experiment, now: StepInfo) -> str:
    """Where a run stands, in one line: experience, epoch, speed, how full the memory is, accuracy so far."""
    parts = [
        f"experience {now.experience + 1}/{now.experiences}",
        f"epoch {min(now.epoch + 1, now.epochs)}/{now.epochs}",
        f"{now.samples / max(now.seconds, 1e-9):,.0f} images/s",
    ]
    memory, accuracy = experiment.memory, experiment.accuracy_so_far
    if memory is not None:
        parts.append(f"memory {100 * memory.used_bytes / memory.budget_bytes:.0f} %")
    if accuracy is not None:
        parts.append(f"accuracy {100 * accuracy:.1f} %")
    return " ".join(parts)


def say_of_memory(experiment: Experiment, console: Console) -> None:
    """Tell of a budget that did not bind, or that leaves classes out."""
    memory = experiment.memory
    if memory is None:
        return
    used, budget = memory.used_bytes / 1e6, memory.budget_bytes / 1e6
    if not memory.full and not memory.skipped:
        console.print(
            f"{experiment.run_dir.name}: the budget did not bind: {used:.3g} of {budget:g} MB used; "
            f"try --memory-mb {used / 5:.1g}"
        )
    if memory.skipped:
        console.print(
            f"{experiment.run_dir.name}: warning: {memory.skipped} samples had records larger than the whole memory; "
            "raise --memory-mb"
        )
    if memory.classes_covered < len(experiment.class_names):
        console.print(
            f"{experiment.run_dir.name}: warning: the memory covers {memory.classes_covered} of "
            f"{len(experiment.class_names)} classes; raise --memory-mb"
        )


def main() -> None:
    """The command."""
    options = parse(sys.argv[1:])
    console = Console(soft_wrap=True)
    limit_threads()
    configs = expand(options)
    if options.preset:
        console.print(
            f"--preset: {preset_text({name: getattr(options, name) for name in preset_options(options.scenario)})}"
        )
    if options.data_root is None:
        console.print(
            "no --data-root: running on the built-in fractals; for ImageNet give --data-root DIR with "
            "train/<class>/* and val/<class>/*"
        )
    name = options.data_root.resolve().name if options.data_root else "fractals"
    out = options.out or Path("runs") / f"{time.strftime('%Y%m%d-%H%M%S')}-{name}"
    make_folder(out)
    try:
        failures = run_grid(configs, out, console, options.tracker)
    except KeyboardInterrupt:
        arguments = sys.argv[1:] if options.out else [*sys.argv[1:], "--out", str(out)]
        console.print(f"interrupted; this resumes: python -m seit_cl.run {shlex.join(arguments)}")
        sys.exit(130)
    finally:
        with contextlib.suppress(OSError):
            out.rmdir()  # where no run began
    if failures and not run_files.read_runs(out):
        raise UserError(failures[0])
    report = build_report(out)
    terminal_summary(load_summary(out))
    console.print(f"results: {out / 'summary.csv'}; report: {report}")
    if failures:
        raise UserError(f"{len(failures)} of {len(configs)} runs failed; the first: {failures[0]}")


def make_folder(out: Path) -> None:
    """Make the folder of the results and try to write in it, before any work is done.

    Raises:
        UserError: it is a file or cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise UserError(
            f"--out {out}: cannot be written ({error.strerror}); choose another folder"
        ) from error


if __name__ == "__main__":
    run_command(main)
