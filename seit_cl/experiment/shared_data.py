"""Data shared by all runs of a grid: opened once, described, checked against earlier results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import Progress

from seit_cl.config import RunConfig
from seit_cl.core.devices import bf16_warning, choose_device
from seit_cl.core.errors import UserError
from seit_cl.core.progress import ImageBar
from seit_cl.data.base import Dataset
from seit_cl.data.images import resolution_note
from seit_cl.experiment.build import validation_part
from seit_cl.experiment.metadata import CONTENTS
from seit_cl.experiment.modality import MODALITIES, build_modality
from seit_cl.experiment.run_data import RunData
from seit_cl.results import run_files
from seit_cl.results.run_files import Run

LISTED_IMAGES = 3  # names of unreadable images in the warning


def open_data(
    configs: Sequence[RunConfig],
    out: Path,
    bars: Progress,
    shared: bool = False,
    dataset: Dataset | None = None,
) -> RunData:
    """Open the data of a grid and load the inputs of all its learners.

    Args:
        configs: the grid's runs, which differ in nothing that decides on the data.
        out: folder of the results; earlier ones there must be of the same data.
        bars: show the loading; their console gets a description of the dataset.
        shared: load them such that `RunData.share` can give them to other processes.
        dataset: if it is open already; None opens the one that the runs name.

    Raises:
        UserError: bad data, or results of other images or another tokenizer in `out`.
    """
    data = RunData(configs[0], loading_bars(bars), shared, dataset)
    _describe(data.dataset, data.resolution, bars.console)
    if data.dataset.has_images and not configs[0].resolution:
        bars.console.print(resolution_note(data.resolution), highlight=False)
    if configs[0].validation_fraction:
        bars.console.print(str(validation_part(configs[0])), highlight=False)
    warning = bf16_warning(choose_device(configs[0].device), configs[0].precision)
    if warning:
        bars.console.print(warning, highlight=False)
    _warn_of_few(configs[0], data.dataset, bars.console)
    _describe_experiences(configs[0], len(data.dataset.classes), bars.console)
    learners = list(dict.fromkeys(config.learner for config in configs))
    earlier = run_files.read_runs(out) if out.is_dir() else []
    _check_earlier_results(out, earlier, data, learners, configs[0])
    for learner in learners:
        build_modality(learner, data).prepare()
    _check_contents(out, earlier, data, learners)
    return data


def loading_bars(bars: Progress) -> Callable[[str, int, int], None]:
    """Show one bar for each action on images, until all are done."""
    image_bars: dict[tuple[str, int], ImageBar] = {}

    def report(action: str, done: int, total: int) -> None:
        key = (action, total)
        if key not in image_bars:
            image_bars[key] = ImageBar(bars, action, total)
        image_bars[key].set(done)
        if done == total:
            image_bars.pop(key).remove()

    return report


def _describe(dataset: Dataset, resolution: int, console: Console) -> None:
    """Print the dataset's size, its held-out split and its unreadable images."""
    line = (
        f"dataset {dataset.name}: {len(dataset.classes)} classes, {len(dataset.train)} train and "
        f"{len(dataset.val)} val images at {resolution} px"
    )
    console.print(f"{line}; {dataset.held_out}" if dataset.held_out else line)
    if dataset.skipped:
        names = list(dataset.skipped[:LISTED_IMAGES])
        if len(dataset.skipped) > LISTED_IMAGES:
            names.append("…")
        count = len(dataset.skipped)
        console.print(
            f"warning: {count} unreadable images are left out: {', '.join(names)}", markup=False
        )


def _warn_of_few(config: RunConfig, dataset: Dataset, console: Console) -> None:
    """Name the training images that are left where more are held out than are trained on."""
    counts = torch.bincount(dataset.train.labels, minlength=len(dataset.classes))
    if dataset.held_out and len(dataset.train) < len(dataset.val):
        console.print(
            f"warning: --val-fraction {config.val_fraction:g} leaves {len(dataset.train):,} images "
            f"to train on, {int(counts.min())} of the smallest class, and tests on "
            f"{len(dataset.val):,}; 0.2 is usual",
            highlight=False,
        )
    if config.validation_fraction > 0.5:
        left = round((1 - config.validation_fraction) * len(dataset.train))
        console.print(
            f"warning: --validation-fraction {config.validation_fraction:g} leaves some {left:,} "
            f"of {len(dataset.train):,} images to train on; 0.2 is usual",
            highlight=False,
        )


def _describe_experiences(config: RunConfig, classes: int, console: Console) -> None:
    """Print the number of experiences where the data has too few classes for the usual one."""
    usual = config.resolved_stream().experiences
    fitting = config.resolved_stream(classes).experiences
    if fitting < usual:
        console.print(
            f"{fitting} experiences: {classes} classes do not fill the {usual} of "
            f"--scenario {config.scenario}; --experiences sets another number",
            markup=False,
            highlight=False,
        )


def _check_earlier_results(
    out: Path, earlier: Sequence[Run], data: RunData, learners: Sequence[str], config: RunConfig
) -> None:
    """Refuse a folder with results of other images, or of another tokenizer where runs use it.

    Raises:
        UserError: naming the run and what differs: the scenario, where that decides on the images.
    """
    scenario = config.plain()["scenario"]
    runs_use_tokenizer = any(MODALITIES[learner].uses_tokenizer for learner in learners)
    for run in earlier:
        modality = MODALITIES.get(str(run.config.get("learner")))
        used_tokenizer = modality is not None and modality.uses_tokenizer
        for name, value in data.identity.items():
            if name == "tokenizer_identity" and not (runs_use_tokenizer and used_tokenizer):
                continue
            if run.environment.get(name, value) == value:
                continue
            made_with = run.config.get("scenario", scenario)
            differs = f"another {name}"
            if made_with != scenario:
                differs = f"--scenario {made_with}, not {scenario}"
            raise UserError(
                f"--out {out}: {run.run_id} was made with {differs}; choose another --out"
            )


def _check_contents(
    out: Path, earlier: Sequence[Run], data: RunData, learners: Sequence[str]
) -> None:
    """Refuse a folder with results of images of the same names and sizes and other contents.

    Raises:
        UserError: naming the run.
    """
    for learner in learners:
        contents = data.contents(MODALITIES[learner].uses_tokenizer)
        for run in earlier:
            made_of = str(run.environment.get(CONTENTS, contents))
            of_as_many = len(made_of) == len(contents)  # of all images, or of some
            if of_as_many and made_of != contents:
                raise UserError(
                    f"--out {out}: {run.run_id} was made with other images of the same names and "
                    f"sizes in {data.dataset.root}; restore them, or choose another --out"
                )
