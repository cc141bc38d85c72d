"""The stages of a pilot after its tokenizer: runs, and what formats keep of an image.

Each stage writes files into the folder of the pilot. A stage whose files are there is left out, and
one that was interrupted goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch
from rich.console import Console

from seit_cl.core.csv_text import csv_text
from seit_cl.core.files import write_atomic
from seit_cl.data.stored import StoredImage
from seit_cl.experiment.density import ImageSource, Material, build_formats
from seit_cl.experiment.density_examples import encode_examples
from seit_cl.experiment.density_measures import measure
from seit_cl.grid import run_grid
from seit_cl.launch import Launch
from seit_cl.piloting.plan import Plan, spaced
from seit_cl.reporting.density import picture
from seit_cl.reporting.storage import read_density
from seit_cl.tokenizers import open_tokenizer
from seit_cl.tokenizers._picture import save_png

MEASURED = 200  # test images that formats are measured on
SHOWN = 4  # photographs of the picture
PICTURE = "images.png"


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
    tokenizer = open_tokenizer(plan.tokenizer.spec)
    images = spaced(plan.dataset.val.images, MEASURED)
    source = ImageSource(images, plan.side, tokenizer)
    return Material(tokenizer, source, plan.side, plan.context.classes)


def _shown(plan: Plan) -> list[StoredImage | Path]:
    """Test images of the picture."""
    return list(spaced(plan.dataset.val.images, SHOWN))
