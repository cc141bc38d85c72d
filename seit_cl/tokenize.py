"""`python -m seit_cl.tokenize train|inspect`: train a tokenizer, or look into a tokenizer file."""

from __future__ import annotations

import math
import platform
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro
from rich.console import Console
from rich.progress import Progress as Bar
from torch import Tensor

from seit_cl.cli import parse_line, run_command
from seit_cl.datasets.folder import open_folder
from seit_cl.datasets.fractals import render
from seit_cl.datasets.images import load_images
from seit_cl.errors import UserError
from seit_cl.tokenizers.bundled import WEIGHTS, BundledTokenizer, load_tokenizer
from seit_cl.tokenizers.training import Progress, Settings, Trainer
from seit_cl.tokenizers.vqae import STRIDE, VQAutoencoder

FRACTAL_CLASSES = 50
FRACTAL_SEED = 777  # not the seed of the built-in data set


def _help(text: str) -> object:
    return tyro.conf.arg(help=text)


@dataclass(frozen=True)
class Train:
    """Train a tokenizer on an image folder and on fractals, and measure it on the folder's val images."""

    data_root: Annotated[Path, _help("folder with train/<class>/* and val/<class>/*")]
    out: Annotated[Path, _help("safetensors file to write")]
    minutes: Annotated[float, _help("wall-clock minutes of training")] = 20.0
    resolution: Annotated[int, _help("image side in pixels")] = 64
    fractals: Annotated[int, _help("fractal images beside the folder's")] = 2500
    codes: Annotated[int, _help("codebook size K")] = 1024
    width: Annotated[int, _help("channels at stride 8")] = 128
    depth: Annotated[int, _help("blocks at stride 8, on each side")] = 4
    batch: Annotated[int, _help("images a step")] = 64
    learning_rate: Annotated[float, _help("peak learning rate of AdamW")] = 2e-3
    supervision: Annotated[float, _help("weight of the classification loss on the codes; 0: none")] = 0.03
    precision: Annotated[Literal["fp32", "bf16"], _help("of the forward pass; codes are assigned in float32")] = "fp32"
    seed: Annotated[int, _help("seed of weights, batches and fractals")] = 0
    device: Annotated[Literal["cpu", "cuda"], _help("where to train")] = "cpu"


@dataclass(frozen=True)
class Inspect:
    """Print a tokenizer file's configuration, identity and model card."""

    path: Annotated[Path, _help("tokenizer file; the bundled one when omitted")] = WEIGHTS


def quality(tokenizer: BundledTokenizer, images: torch.Tensor) -> tuple[float, float]:
    """PSNR in dB over all pixels, and the fraction of codes in use, on images (N, 3, S, S) uint8."""
    error, used = 0.0, set()
    for chunk in images.split(256):
        tokens = tokenizer.encode(chunk)
        used.update(tokens.unique().tolist())
        error += float((tokenizer.decode(tokens).float() - chunk.float()).square().mean((1, 2, 3)).sum()) / 255**2
    psnr = -10 * torch.log10(torch.tensor(error / len(images)))
    return float(psnr), len(used) / tokenizer.codebook.shape[1]


def _training_images(options: Train) -> tuple[Tensor, Tensor, Tensor]:
    """Images (N, 3, S, S) uint8 and labels (N,) to train on, the folder's first; images to measure on."""
    folder = open_folder(options.data_root)
    images, labels = load_images(folder.train.paths, options.resolution), folder.train.labels
    if options.fractals:
        per_class = -(-options.fractals // FRACTAL_CLASSES)
        drawn, classes = render(FRACTAL_CLASSES, per_class, options.resolution, FRACTAL_SEED, "train")
        images = torch.cat([images, drawn[: options.fractals]])
        labels = torch.cat([labels, len(folder.classes) + classes[: options.fractals]])
    return images, labels, load_images(folder.val.paths, options.resolution)


def check(options: Train) -> None:
    """Refuse what would fail later, and make the folder of the file to write.

    Raises:
        UserError: naming the option, its value and what it may be.
    """
    rules = (
        ("minutes", 0 < options.minutes < math.inf, "must be positive"),
        ("resolution", 32 <= options.resolution <= 256 and options.resolution % STRIDE == 0,
         f"must be a multiple of {STRIDE} from 32 to 256"),
        ("fractals", options.fractals >= 0, "must be 0 or more"),
        ("codes", 2 <= options.codes <= 1 << 15, "must be from 2 to 32768"),
        ("width", options.width >= 2, "must be at least 2"),
        ("depth", options.depth >= 0, "must be 0 or more"),
        ("batch", options.batch >= 1, "must be at least 1"),
        ("supervision", 0 <= options.supervision < math.inf, "must be 0 or more"),
        ("learning_rate", 0 < options.learning_rate < math.inf, "must be positive"),
        ("device", options.device == "cpu" or torch.cuda.is_available(), "this machine has no CUDA device; use --device cpu"),
        ("out", not options.out.is_dir(), "is a folder; give the file to write, e.g. tokenizer.safetensors"),
    )  # fmt: skip
    for name, holds, words in rules:
        if not holds:
            raise UserError(f"--{name.replace('_', '-')} {getattr(options, name)}: {words}")
    try:
        options.out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--out {options.out}: cannot be written ({error.strerror}); choose another place") from error


def train_command(options: Train) -> None:
    """Run `tokenize train`: data, training with progress, quality on val, file with its card. Interrupted, it resumes."""
    check(options)
    console = Console()
    images, labels, held_out = _training_images(options)
    console.print(f"training on {len(images):,} images of {options.resolution} px for {options.minutes:g} minutes")
    with torch.random.fork_rng():
        torch.manual_seed(options.seed)
        model = VQAutoencoder(codes=options.codes, width=options.width, depth=options.depth)
    model = model.to(options.device).to(memory_format=torch.channels_last)
    settings = Settings(
        options.minutes, options.batch, options.learning_rate, options.supervision, options.seed, options.precision
    )
    trainer = Trainer(model, images, labels, settings)
    checkpoint = options.out.with_name(f"{options.out.name}.training")
    with Bar(console=console, disable=not console.is_terminal) as bar:
        try:
            trainer.run(_reporter(bar, options), checkpoint)
        except KeyboardInterrupt:
            console.print(f"interrupted: {checkpoint} is kept, and the same command goes on from there")
            raise
    tokenizer = BundledTokenizer(model.cpu())
    psnr, used = quality(tokenizer, held_out)
    tokenizer.card = {
        "data": f"{len(images) - options.fractals} images of {options.data_root.name}/train and {options.fractals} fractals",
        "command": _command(options),
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads, {options.device}, torch {torch.__version__}",
        "date": date.today().isoformat(),
        "steps": str(trainer.step),
        "figures": f"val PSNR {psnr:.2f} dB at {options.resolution} px, {100 * used:.1f} % of codes in use on val",
    }
    tokenizer.save(options.out)
    checkpoint.unlink()
    console.print(f"{options.out}: {tokenizer.card['figures']}, {options.out.stat().st_size / 1e6:.2f} MB")


def _command(options: Train) -> str:
    """The command that trains the like, without the places of its files."""
    names = [f.name for f in fields(Train) if f.name not in ("data_root", "out")]
    words = [f"--{name.replace('_', '-')} {getattr(options, name)}" for name in names]
    return f"python -m seit_cl.tokenize train {' '.join(words)}"


def _reporter(bar: Bar, options: Train) -> Callable[[Progress], None]:
    console, task = bar.console, bar.add_task("train", total=1.0)

    def show(now: Progress) -> None:
        text = (f"step {now.step} loss {now.loss:.4f} PSNR {now.psnr:.1f} dB, {now.codes_alive}/{options.codes} codes alive, "
                f"{now.speed:,.0f} images/s")  # fmt: skip
        bar.update(task, completed=now.fraction, description=text)
        if not console.is_terminal and now.step % 1000 == 0:
            console.print(text)
        if now.step == 2000 and now.codes_alive < options.codes / 2:
            console.print("warning: more than half of the codes are dead; use fewer --codes or a lower --learning-rate")

    return show


def inspect_command(options: Inspect) -> None:
    """Run `tokenize inspect`."""
    tokenizer = load_tokenizer(options.path)
    groups, codes, dim = tokenizer.codebook.shape
    print(f"{options.path.name}: {codes} codes of {dim} dimensions, {groups} a position, stride {tokenizer.stride}")
    print(f"identity: {tokenizer.identity}; {tokenizer.codec_bytes / 1e6:.2f} MB")
    for key, value in sorted(tokenizer.card.items()):
        print(f"{key}: {value}")


def main() -> None:
    """Parse the command line and run the subcommand."""
    commands: dict[str, Any] = {"train": Train, "inspect": Inspect}
    options = parse_line(lambda: tyro.extras.subcommand_cli_from_dict(commands, prog="python -m seit_cl.tokenize"))
    if isinstance(options, Train):
        train_command(options)
    else:
        inspect_command(options)


if __name__ == "__main__":
    run_command(main)
