"""Compare ways to train a tokenizer by what a learner makes of the codes.

Tokenizers are trained on four fifths of the classes of the tokenizer's images. The learner is
trained jointly on 200 images of each remaining class and tested on the rest. No benchmark class
takes part. Rows are added to a CSV file; rows that it already holds are not made again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, stdev
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Literal

import pandas as pd
import torch
import tyro
from torch import Tensor

from seit_cl.config import RunConfig
from seit_cl.core.cli import parse_line
from seit_cl.core.errors import UserError
from seit_cl.core.files import write_atomic
from seit_cl.core.machine import machine_line, torch_threads
from seit_cl.experiment.run_data import RunData
from seit_cl.reporting.markdown import table
from seit_cl.tokenizers._quality import quality
from seit_cl.tokenizers._vqae_tokenizer import VQAETokenizer
from seit_cl.tokenizers.training.images import training_images
from seit_cl.tokenizers.training.trainer import TrainingSettings
from studies.ablation.variants import VARIANTS, Variant
from studies.curves import curve

RESOLUTION = 64  # pixels
FRACTALS = 2000  # added to the images that tokenizers are trained on
JUDGED = 5  # every fifth class is left to the learner
LEARNT_FROM = 200  # images of each judged class that the learner is trained on
PIXELS = "pixels"  # the row without a tokenizer


@dataclass(frozen=True)
class Options:
    """Options of the ablation."""

    data_root: Annotated[Path, tyro.conf.arg(help="the tokenizer's image folder, train/ and val/")]
    out: Annotated[Path, tyro.conf.arg(help="CSV file to add rows to")]
    variants: Annotated[tuple[str, ...], tyro.conf.arg(help="names of variants, or pixels")] = (
        PIXELS,
        *VARIANTS,
    )
    minutes: Annotated[float, tyro.conf.arg(help="training time of each tokenizer, minutes")] = 4.0
    epochs: Annotated[int, tyro.conf.arg(help="epochs of the learner")] = 8
    seed: Annotated[tuple[int, ...], tyro.conf.arg(help="seeds of the learner")] = (0, 1)
    photos: Annotated[
        Path | None, tyro.conf.arg(help="folder of larger images to train on tiles of")
    ] = None
    precision: Annotated[
        Literal["fp32", "bf16"], tyro.conf.arg(help="precision of the tokenizers' training")
    ] = "bf16"
    device: Annotated[Literal["cpu", "cuda"], tyro.conf.arg(help="device of all training")] = "cpu"
    threads: Annotated[int, tyro.conf.arg(help="CPU threads; 0: torch's own choice")] = 1


def split(root: Path, folder: Path) -> tuple[Path, Path]:
    """Link the images of a folder into one to train tokenizers on and one to judge them on.

    Args:
        root: image folder with train/<class>/* and val/<class>/*.
        folder: parent of the two new folders, `learn` and `judge`.

    Returns:
        Both, each with train/<class>/* and val/<class>/*.
    """
    classes = sorted(path.name for path in (root / "train").iterdir() if path.is_dir())
    for number, name in enumerate(classes):
        train = sorted((root / "train" / name).iterdir())
        val = sorted((root / "val" / name).iterdir())
        target = folder / "learn"
        if number % JUDGED == JUDGED - 1:
            target = folder / "judge"
            images = train + val
            train = images[:LEARNT_FROM]
            val = images[LEARNT_FROM:]
        _link(train, target / "train" / name)
        _link(val, target / "val" / name)
    return folder / "learn", folder / "judge"


def _link(files: list[Path], folder: Path) -> None:
    """Link files of train/<class> and val/<class> into one new folder."""
    folder.mkdir(parents=True)
    for file in files:
        part = file.parent.parent.name
        (folder / f"{part}-{file.name}").symlink_to(file.resolve())


def train(
    variant: Variant, options: Options, data: tuple[Tensor, Tensor, Tensor]
) -> tuple[VQAETokenizer, dict[str, Any]]:
    """Train a variant.

    Args:
        variant: see Variant.
        options: see Options.
        data: images (N, 3, S, S) uint8 and labels (N,) to train on, and val images (M, 3, S, S) of
            the same classes.

    Returns:
        The tokenizer, and its columns of the CSV file, with PSNR in dB on the val images.
    """
    # Otherwise torch counts the variants' compiled losses as recompilations of one function.
    torch.compiler.reset()
    images, labels, val_images = data
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = variant.model(**variant.options)
    model = model.to(options.device)
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    minutes = options.minutes * variant.minutes
    settings = TrainingSettings(minutes, precision=options.precision)
    trainer = variant.trainer(model, images, labels, replace(settings, **variant.settings))
    trainer.run()
    tokenizer = VQAETokenizer(model)
    measured = quality(tokenizer, val_images)
    columns = {
        "trained_minutes": minutes,
        "steps": trainer.step,
        "psnr": round(measured.psnr, 2),
        "codes_in_use": measured.used / len(model.codebook),
    }
    return tokenizer, columns


def judge(options: Options, folder: Path, tokenizer: VQAETokenizer | None) -> dict[str, float]:
    """Accuracies (fractions) of the learner on the judged classes, over seeds.

    Args:
        options: epochs and seeds.
        folder: images of the judged classes.
        tokenizer: whose codes the learner is trained on; None for pixels.

    Returns:
        Means after the first and the last epoch, and the standard deviation of the last.
    """
    config = RunConfig(
        data_root=folder,
        strategy="joint",
        experiences=1,
        memory_mb=0,
        epochs=options.epochs,
        cutmix_p=0,
        token_rrc=0.6,
        learner="pixels" if tokenizer is None else "tokens",
        device=options.device,
    )
    data = RunData(config)
    if tokenizer is not None:
        data.tokenizer = tokenizer
    first = []
    final = []
    for seed in options.seed:
        accuracies = curve(replace(config, seed=seed), data, (1, options.epochs))
        first.append(accuracies[0])
        final.append(accuracies[-1])
    spread = stdev(final) if len(final) > 1 else 0.0
    return {"first": mean(first), "final": mean(final), "spread": spread}


def add_rows(names: list[str], options: Options, folder: Path) -> None:
    """Train and judge variants, and write each row as soon as it is made.

    Args:
        names: of variants, or "pixels".
        options: see Options.
        folder: temporary folder for links to the images.
    """
    learn, judged = split(options.data_root, folder)
    machine = machine_line(torch.device(options.device))
    data = training_images(learn, RESOLUTION, FRACTALS, options.photos)
    for name in names:
        tokenizer = None
        trained = {"trained_minutes": 0.0, "steps": 0, "psnr": math.nan, "codes_in_use": math.nan}
        if name != PIXELS:
            tokenizer, trained = train(VARIANTS[name], options, data)
        accuracies = judge(options, judged, tokenizer)
        row = {"variant": name, **key(options), **trained, **accuracies, "machine": machine}
        rows = pd.DataFrame([row])
        if options.out.exists():
            rows = pd.concat([pd.read_csv(options.out), rows])
        write_atomic(options.out, rows.to_csv(index=False).encode())
        print(row, flush=True)


def page(rows: pd.DataFrame) -> str:
    """A Markdown table of the rows, with accuracies in percent."""
    lines = []
    for _, row in rows.iterrows():
        accuracies = [
            f"{100 * row['first']:.1f}",
            f"{100 * row.final:.1f} ± {100 * row.spread:.1f}",
        ]
        if row.variant == PIXELS:
            lines.append(["no tokenizer: pixels", "", "", "", "", *accuracies])
            continue
        trained = [
            f"{row.trained_minutes:g}",
            f"{row.steps:,}",
            f"{row.psnr:.2f}",
            f"{100 * row.codes_in_use:.1f}",
        ]
        lines.append([VARIANTS[row.variant].description, *trained, *accuracies])
    return table(
        ["tokenizer", "minutes", "steps", "PSNR, dB", "codes in use, %", "epoch 1, %", "end, %"],
        lines,
    )


def key(options: Options) -> dict[str, Any]:
    """Columns in which rows must agree to be compared."""
    seeds = " ".join(str(seed) for seed in options.seed)
    return {
        "minutes": options.minutes,
        "epochs": options.epochs,
        "seeds": seeds,
        "tiles": options.photos is not None,
        "precision": options.precision,
        "device": options.device,
    }


def read_rows(options: Options) -> pd.DataFrame:
    """Rows of the CSV file that were made with the same options."""
    if not options.out.exists():
        return pd.DataFrame(columns=["variant"])
    rows = pd.read_csv(options.out)
    same = pd.Series(True, index=rows.index)
    for name, value in key(options).items():
        same &= rows[name].map(str) == str(value)
    return rows[same]


def main() -> None:
    """Make the rows that are missing, and print the table.

    Raises:
        UserError: an unknown variant.
    """
    options = parse_line(
        lambda: tyro.cli(Options, prog="python -m studies.ablation", description=__doc__)
    )
    for name in options.variants:
        if name != PIXELS and name not in VARIANTS:
            names = ", ".join([PIXELS, *VARIANTS])
            raise UserError(f"--variants {name}: no such variant; there are {names}")
    finished = set(read_rows(options)["variant"])
    missing = [name for name in options.variants if name not in finished]
    if missing:
        with torch_threads(options.threads), TemporaryDirectory() as folder:
            add_rows(missing, options, Path(folder))
    print(page(read_rows(options)))
