"""The stages of a pilot: tokenizer, runs, and what formats keep of an image.

Each stage writes files into the folder of the pilot. A stage whose files are there is left out, and
one that was interrupted goes on.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch
from rich.console import Console

from seit_cl.core.csv_text import csv_text
from seit_cl.core.devices import choose_device
from seit_cl.core.errors import UserError
from seit_cl.core.files import write_atomic
from seit_cl.data.stored import StoredImage
from seit_cl.experiment.density import ImageSource, Material, build_formats
from seit_cl.experiment.density_examples import encode_examples
from seit_cl.experiment.density_measures import measure
from seit_cl.grid import run_grid
from seit_cl.launch import Launch
from seit_cl.piloting.options import PilotOptions
from seit_cl.piloting.plan import Plan, tokenizer_path
from seit_cl.reporting.density import picture
from seit_cl.reporting.storage import read_density
from seit_cl.tokenizers import DEFAULT_TOKENIZER, open_tokenizer
from seit_cl.tokenizers._picture import save_png
from seit_cl.tokenizers.commands.options import Train
from seit_cl.tokenizers.commands.train import train_command

MEASURED = 200  # test images that formats are measured on
SHOWN = 4  # photographs of the picture
PICTURE = "images.png"


def make_tokenizer(options: PilotOptions, side: int) -> str:
    """Train the tokenizer on the training images, or go on with it.

    Half of the minutes are the teacher's where codes must predict features.

    Returns:
        Its spec.

    Raises:
        UserError: images that cannot be read, or a tokenizer of other options.
    """
    if not options.minutes:
        return DEFAULT_TOKENIZER
    with_teacher = options.targets == "features"
    training = Train(
        data_root=options.data_root,
        out=tokenizer_path(options.folder),
        minutes=options.minutes / 2 if with_teacher else options.minutes,
        teacher_steps=0 if with_teacher else Train.teacher_steps,
        targets=options.targets,
        resolution=side,
        fractals=0,
        device=choose_device(options.device).type,  # type: ignore[arg-type]
    )
    if training.out.exists():
        _require_made_with(training)
    else:
        train_command(training)
    return str(training.out)


def _require_made_with(training: Train) -> None:
    """Compare the options of a pilot with those that its tokenizer was trained with.

    Raises:
        UserError: naming one that differs.
    """
    path = training.out
    words = shlex.split(open_tokenizer(str(path)).card.get("command", ""))
    for name in ("minutes", "targets", "resolution"):
        value = str(getattr(training, name))
        if [f"--{name}", value] not in [words[i : i + 2] for i in range(len(words))]:
            raise UserError(
                f"{path}: was trained with other --minutes, --targets or --resolution; give the "
                "same, or another --out"
            )


def make_runs(plan: Plan, console: Console, command: str) -> list[str]:
    """Make the runs that are missing.

    Args:
        plan: of the pilot.
        console: gets the progress.
        command: as typed, for the records of the runs.

    Returns:
        A line for each run that failed, such as one whose budget holds no exemplar.

    Raises:
        UserError: data that cannot be read, or results of other options in the folder.
    """
    launch = Launch(jobs=plan.options.jobs)
    folder = plan.options.folder
    # Some runs keep everything, so that their budgets are not to bind.
    return run_grid(
        plan.all_configs(), folder, console, launch=launch, command=command, advice=False
    )


def measure_formats(plan: Plan, specs: Sequence[str], console: Console) -> pd.DataFrame:
    """Measure bytes and fidelity of formats on test images, and draw some of them.

    Args:
        plan: of the pilot.
        specs: of formats that need not be fitted, as the runs chose them.
        console: gets the progress.

    Returns:
        The table of `seit_cl.experiment.density_measures.measure`, of these formats and baselines.

    Raises:
        UserError: images that cannot be read.
    """
    folder = plan.options.folder
    path = folder / "density.csv"
    if path.exists() and (folder / PICTURE).exists():
        table = read_density(path)
        if set(specs) <= set(table["format"]):
            return table
    material = _material(plan)
    formats = build_formats(specs, material.context)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # speeds are those of one core
    try:
        with torch.inference_mode():
            table = measure(formats, material, console)
            examples = encode_examples(_shown(plan), formats, material)
    finally:
        torch.set_num_threads(threads)
    save_png(picture(examples), folder / PICTURE)
    write_atomic(path, csv_text(table))
    return read_density(path)


def _material(plan: Plan) -> Material:
    """Test images, evenly spaced, with their tokens."""
    tokenizer = open_tokenizer(plan.tokenizer)
    images = spaced(plan.dataset.val.images, MEASURED)
    source = ImageSource(images, plan.side, tokenizer)
    return Material(tokenizer, source, plan.side, plan.context.classes)


def _shown(plan: Plan) -> list[StoredImage | Path]:
    """Test images of the picture."""
    return list(spaced(plan.dataset.val.images, SHOWN))


def spaced(images: Sequence[StoredImage], most: int) -> Sequence[StoredImage]:
    """At most so many of some images, evenly spaced."""
    every = -(-len(images) // most)
    return images[:: max(1, every)]
