"""What helps the learner: tokenizers trained in many ways on some of the tokenizer classes, each judged by what a learner
makes of its codes on the others. No benchmark class has a say.

Every fifth class is left out of training and judged on: the learner trains jointly on 200 images of each and is tested on
the rest. Rows are added to a CSV file, and those that it holds already are not made again.
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
from seit_cl.core.errors import UserError
from seit_cl.core.files import write_atomic
from seit_cl.core.machine import machine_line, torch_threads
from seit_cl.experiment.run_data import RunData
from seit_cl.reporting.markdown import table
from seit_cl.tokenizers._quality import quality
from seit_cl.tokenizers.bundled import BundledTokenizer
from seit_cl.tokenizers.training.images import training_images
from seit_cl.tokenizers.training.trainer import TrainingSettings
from studies.ablation.variants import VARIANTS, Variant
from studies.curves import curve

FRACTALS = 2000  # trained on beside the images
JUDGED = 5  # every fifth class
LEARNT_FROM = 200  # images of each judged class
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
    minutes: Annotated[float, tyro.conf.arg(help="of training of each")] = 4.0
    epochs: Annotated[int, tyro.conf.arg(help="of the learner")] = 8
    seed: Annotated[tuple[int, ...], tyro.conf.arg(help="seeds of the learner")] = (0, 1)
    photos: Annotated[
        Path | None, tyro.conf.arg(help="folder of larger images, tiles of which are trained on")
    ] = None
    precision: Annotated[
        Literal["fp32", "bf16"], tyro.conf.arg(help="of the tokenizer's training")
    ] = "bf16"
    device: Annotated[Literal["cpu", "cuda"], tyro.conf.arg(help="where all is trained")] = "cpu"
    threads: Annotated[int, tyro.conf.arg(help="CPU threads; 0: torch's own choice")] = 1


def split(root: Path, folder: Path) -> tuple[Path, Path]:
    """Link the images of a folder of train/ and val/ into one to train tokenizers on and one to judge them on.

    Args:
        root: image folder.
        folder: where to make `learn` and `judge`.

    Returns:
        Both, each with train/<class>/* and val/<class>/*.
    """
    classes = sorted(path.name for path in (root / "train").iterdir() if path.is_dir())
    for number, name in enumerate(classes):
        images = {part: sorted((root / part / name).iterdir()) for part in ("train", "val")}
        kind = "learn"
        if number % JUDGED == JUDGED - 1:
            kind, together = "judge", images["train"] + images["val"]
            images = {"train": together[:LEARNT_FROM], "val": together[LEARNT_FROM:]}
        for part, files in images.items():
            place = folder / kind / part / name
            place.mkdir(parents=True)
            for file in files:
                (place / f"{file.parent.parent.name}-{file.name}").symlink_to(file.resolve())
    return folder / "learn", folder / "judge"


def train(
    variant: Variant, options: Options, data: tuple[Tensor, Tensor, Tensor]
) -> tuple[BundledTokenizer, dict[str, Any]]:
    """Train a variant; the tokenizer, and its steps, PSNR in dB and codes in use on the val images of its own classes."""
    torch.compiler.reset()  # the variants' compiled losses are as many recompilations of one function to torch
    images, labels, held_out = data
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = variant.model(**variant.options)
    model = model.to(options.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    minutes = options.minutes * variant.minutes
    settings = replace(TrainingSettings(minutes, precision=options.precision), **variant.settings)
    trainer = variant.trainer(model, images, labels, settings)
    trainer.run()
    tokenizer = BundledTokenizer(model)
    found = quality(tokenizer, held_out)
    share = found.used / len(model.codebook)
    return tokenizer, {
        "trained_minutes": minutes,
        "steps": trainer.step,
        "psnr": round(found.psnr, 2),
        "codes_in_use": share,
    }


def judge(options: Options, folder: Path, tokenizer: BundledTokenizer | None) -> dict[str, float]:
    """Accuracies (fractions) of the learner on the judged classes, and their standard deviation over seeds.

    Args:
        options: epochs and seeds.
        folder: the judged classes' images.
        tokenizer: whose codes it learns from; None: from pixels.
    """
    config = RunConfig(
        data_root=folder,
        strategy="joint",
        experiences=1,
        memory_mb=0,
        epochs=options.epochs,
        cutmix_p=0,
        token_rrc=0.6,
        learner=PIXELS if tokenizer is None else "tokens",
        device=options.device,
    )
    data = RunData(config)
    if tokenizer is not None:
        data.tokenizer = tokenizer
    curves = [curve(replace(config, seed=seed), data, (1, options.epochs)) for seed in options.seed]
    final = [line[-1] for line in curves]
    spread = stdev(final) if len(final) > 1 else 0.0
    return {"first": mean(line[0] for line in curves), "final": mean(final), "spread": spread}


def add_rows(names: list[str], options: Options, folder: Path) -> None:
    """Train and judge variants; a row is written as soon as it is there."""
    learn, judged = split(options.data_root, folder)
    where = machine_line(torch.device(options.device))
    data = training_images(learn, 64, FRACTALS, options.photos)
    for name in names:
        if name == PIXELS:
            tokenizer, trained = (
                None,
                {"trained_minutes": 0.0, "steps": 0, "psnr": math.nan, "codes_in_use": math.nan},
            )
        else:
            tokenizer, trained = train(VARIANTS[name], options, data)
        found = {
            "variant": name,
            **key(options),
            **trained,
            **judge(options, judged, tokenizer),
            "machine": where,
        }
        rows = [pd.read_csv(options.out)] if options.out.exists() else []
        write_atomic(
            options.out, pd.concat([*rows, pd.DataFrame([found])]).to_csv(index=False).encode()
        )
        print(found, flush=True)


def page(rows: pd.DataFrame) -> str:
    """The table, in Markdown; accuracies in percent."""
    lines = []
    for _, line in rows.iterrows():
        words = (
            "no tokenizer: pixels" if line.variant == PIXELS else VARIANTS[line.variant].description
        )
        trained = ["", "", "", ""]
        if line.variant != PIXELS:
            trained = [
                f"{line.trained_minutes:g}",
                f"{line.steps:,}",
                f"{line.psnr:.2f}",
                f"{100 * line.codes_in_use:.1f}",
            ]
        lines.append(
            [
                words,
                *trained,
                f"{100 * line['first']:.1f}",
                f"{100 * line.final:.1f} ± {100 * line.spread:.1f}",
            ]
        )
    return table(
        ["tokenizer", "minutes", "steps", "PSNR, dB", "codes in use, %", "epoch 1, %", "end, %"],
        lines,
    )


def key(options: Options) -> dict[str, Any]:
    """What rows must have in common to be compared."""
    seeds = " ".join(str(seed) for seed in options.seed)
    return {
        "minutes": options.minutes,
        "epochs": options.epochs,
        "seeds": seeds,
        "tiles": options.photos is not None,
        "precision": options.precision,
        "device": options.device,
    }


def held(options: Options) -> pd.DataFrame:
    """The rows of the CSV file that were made with the same options."""
    if not options.out.exists():
        return pd.DataFrame(columns=["variant"])
    rows = pd.read_csv(options.out)
    return rows[
        [
            all(str(row[name]) == str(value) for name, value in key(options).items())
            for _, row in rows.iterrows()
        ]
    ]


def main() -> None:
    """Make the rows that are missing, and print the table.

    Raises:
        UserError: a variant that does not exist.
    """
    options = tyro.cli(Options, prog="python -m studies.ablation", description=__doc__)
    for name in options.variants:
        if name != PIXELS and name not in VARIANTS:
            raise UserError(
                f"--variants {name}: no such variant; there are {', '.join([PIXELS, *VARIANTS])}"
            )
    todo = [name for name in options.variants if name not in set(held(options)["variant"])]
    if todo:
        with torch_threads(options.threads), TemporaryDirectory() as folder:
            add_rows(todo, options, Path(folder))
    print(page(held(options)))
