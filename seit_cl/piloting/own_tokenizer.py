"""The tokenizer of a pilot: trained on its photographs, or the bundled one where that is better."""

from __future__ import annotations

import csv
import io
import shlex
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from rich.console import Console

from seit_cl.core.csv_text import csv_text
from seit_cl.core.devices import choose_device
from seit_cl.core.errors import UserError
from seit_cl.core.files import write_atomic
from seit_cl.data.images import load_images
from seit_cl.data.stored import StoredImage
from seit_cl.piloting.options import PilotOptions
from seit_cl.piloting.plan import Choice, left_out_file, spaced, tokenizer_path
from seit_cl.tokenizers import DEFAULT_TOKENIZER, Tokenizer, open_tokenizer
from seit_cl.tokenizers._quality import quality
from seit_cl.tokenizers.commands.options import Train
from seit_cl.tokenizers.commands.train import train_command

COMPARED = 64  # training images that the two tokenizers are compared on
MEASURED_FILE = "tokenizers.csv"


def choose_tokenizer(
    options: PilotOptions, images: Sequence[StoredImage], side: int, console: Console
) -> Choice:
    """Train a tokenizer on the photographs, and take it unless the bundled one is better.

    A few minutes of training on a few photographs can end far below the bundled tokenizer, and
    every result that follows would then be one about a bad tokenizer. The two are compared by
    reconstructions of training images, so that no test image decides anything.

    Args:
        options: of the pilot.
        images: training images.
        side: S, to which they are resized, in pixels.
        console: gets the comparison in a line.

    Raises:
        UserError: images that cannot be read, or a tokenizer of other options.
    """
    if not options.minutes:
        return Choice(DEFAULT_TOKENIZER)
    own = train_own(options, side)
    pair = (open_tokenizer(str(own)), open_tokenizer(DEFAULT_TOKENIZER))
    path = options.folder / MEASURED_FILE
    fidelities = _read(path, pair)
    if fidelities is None:
        pixels = load_images(list(spaced(images, COMPARED)), side)
        fidelities = [quality(each, pixels).psnr for each in pair]
        _write(path, pair, fidelities)
    is_worse = options.tokenizer == "better" and fidelities[0] < fidelities[1]
    choice = Choice(DEFAULT_TOKENIZER if is_worse else str(own), *fidelities)
    taken = "own" if choice.is_own else "bundled"
    console.print(f"{choice.comparison()}: the {taken} one is taken", highlight=False)
    return choice


def train_own(options: PilotOptions, side: int) -> Path:
    """Train the tokenizer on the training images, or go on with it.

    Half of the minutes are the teacher's where codes must predict features.

    Returns:
        Its file.

    Raises:
        UserError: images that cannot be read, or a tokenizer of other options.
    """
    with_teacher = options.targets == "features"
    left_out = left_out_file(options)
    training = Train(
        data_root=options.data_root,
        leave_out=None if left_out is None else Path(left_out),
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
    return training.out


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


def _write(path: Path, pair: Sequence[Tokenizer], fidelities: Sequence[float]) -> None:
    """Keep the PSNR of each tokenizer beside its identity."""
    identities = [each.identity for each in pair]
    write_atomic(path, csv_text(pd.DataFrame({"tokenizer": identities, "psnr": fidelities})))


def _read(path: Path, pair: Sequence[Tokenizer]) -> list[float] | None:
    """The PSNR of these tokenizers as written before, or None where they are to be measured."""
    if not path.exists():
        return None
    rows = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8", errors="replace")))
    written = {row.get("tokenizer"): row.get("psnr") for row in rows}
    try:
        return [float(written[each.identity] or "") for each in pair]
    except (KeyError, ValueError):
        return None
