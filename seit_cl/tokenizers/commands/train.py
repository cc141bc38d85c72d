"""`python -m seit_cl.tokenize train`: train a tokenizer of the bundled kind, or a ViT-VQGAN."""

from __future__ import annotations

import math
import platform
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

import torch
from rich.console import Console
from rich.progress import Progress
from torch import Tensor

from seit_cl.core.cli import hint
from seit_cl.core.errors import UserError
from seit_cl.core.progress import progress_bars
from seit_cl.tokenizers import DEFAULT_TOKENIZER, Tokenizer, _picture, open_tokenizer, vit_vqgan
from seit_cl.tokenizers._quality import check_figures, check_images, quality
from seit_cl.tokenizers.bundled import BundledTokenizer
from seit_cl.tokenizers.nets.vit_vqgan import HEAD_DIM, ViTVQGAN
from seit_cl.tokenizers.nets.vqae import STRIDE, VQAutoencoder, first_levels
from seit_cl.tokenizers.training.images import TILED, find_images, training_images
from seit_cl.tokenizers.training.trainer import (
    Trainable,
    Trainer,
    TrainingProgress,
    TrainingSettings,
)

DIM = 32  # of the codes of a ViT-VQGAN, as published
MOST_LEVELS = 16
SHOWN = 8  # images of the picture


@dataclass(frozen=True)
class Train:
    """Train a tokenizer on an image folder and on fractals, and measure it on the folder's val images."""

    data_root: Annotated[Path, hint("folder with train/<class>/* and val/<class>/*")]
    out: Annotated[Path, hint("safetensors file to write")]
    minutes: Annotated[float, hint("wall-clock minutes of training")] = 20.0
    resolution: Annotated[int, hint("image side in pixels")] = 64
    fractals: Annotated[int, hint("fractal images beside the folder's")] = 2500
    photos: Annotated[
        Path | None, hint("folder of larger images; tiles of them are trained on, without classes")
    ] = None
    architecture: Annotated[
        Literal["bundled", "vit-vqgan"], hint("convolutions of stride 8, or a ViT-VQGAN")
    ] = "bundled"
    levels: Annotated[
        int, hint("codes a position, of bundled; the first alone can be used, with FILE,levels=1")
    ] = 1
    start: Annotated[
        str | None,
        hint(
            "tokenizer of this kind to add levels to, e.g. bundled: its encoder and first codes stay, "
            "and so do --codes, --width and --depth"
        ),
    ] = None
    codes: Annotated[int, hint("codebook size K; even for bundled")] = 1024
    width: Annotated[
        int, hint("channels at stride 8, a multiple of 4; of vit-vqgan: a multiple of 64")
    ] = 128
    depth: Annotated[
        int, hint("blocks of the encoder at stride 8; of vit-vqgan: of encoder and of decoder")
    ] = 3
    patch: Annotated[int, hint("side in pixels of the patches of vit-vqgan, its stride")] = STRIDE
    batch: Annotated[int, hint("images a step")] = 64
    crop: Annotated[
        int, hint("side of the random crops trained on, px; as large as the images at the end")
    ] = 32
    learning_rate: Annotated[float, hint("peak learning rate of AdamW")] = 2e-3
    supervision: Annotated[
        float, hint("weight of the classification loss on the codes; 0: none")
    ] = 1.0
    precision: Annotated[
        Literal["fp32", "bf16"], hint("of the forward pass; codes are assigned in float32")
    ] = "fp32"
    seed: Annotated[int, hint("seed of weights, batches and fractals")] = 0
    device: Annotated[Literal["cpu", "cuda"], hint("where to train")] = "cpu"
    note: Annotated[
        str, hint("for the card: the terms of the data, what the tokenizer cannot do")
    ] = ""


def check(options: Train) -> None:
    """Refuse what would fail later, and make the folder of the file to write.

    Raises:
        UserError: naming the option, its value and what it may be.
    """
    vit, patch = options.architecture == "vit-vqgan", options.patch
    smallest = max(16, 2 * patch)  # the classification loss looks at 2 x 2 codes at least
    rules = (
        ("minutes", 0 < options.minutes < math.inf, "must be positive"),
        (
            "patch",
            patch == STRIDE or (vit and 4 <= patch <= 32),
            f"must be 4 to 32, and {STRIDE} with --architecture bundled",
        ),
        (
            "resolution",
            32 <= options.resolution <= 256 and options.resolution % patch == 0,
            f"must be a multiple of {patch} from 32 to 256",
        ),
        ("fractals", options.fractals >= 0, "must be 0 or more"),
        (
            "levels",
            1 <= options.levels <= (1 if vit else MOST_LEVELS),
            f"must be from 1 to {MOST_LEVELS}, and 1 with vit-vqgan",
        ),
        (
            "start",
            options.start is None or not vit,
            "adds levels to a tokenizer of the bundled kind; leave --architecture out",
        ),
        (
            "codes",
            2 <= options.codes <= 1 << 15 and (vit or options.codes % 2 == 0),
            "must be even and from 2 to 32768",
        ),
        (
            "width",
            options.width >= 4 and options.width % (HEAD_DIM if vit else 4) == 0,
            f"must be a multiple of {HEAD_DIM if vit else 4}",
        ),
        ("depth", options.depth >= vit, f"must be {int(vit)} or more"),
        ("batch", options.batch >= 2, "must be at least 2"),
        (
            "crop",
            smallest <= options.crop <= options.resolution and options.crop % patch == 0,
            f"must be a multiple of {patch} from {smallest} to --resolution",
        ),
        ("supervision", 0 <= options.supervision < math.inf, "must be 0 or more"),
        ("learning_rate", 0 < options.learning_rate < math.inf, "must be positive"),
        (
            "device",
            options.device == "cpu" or torch.cuda.is_available(),
            "this machine has no CUDA device; use --device cpu",
        ),
        (
            "out",
            not options.out.is_dir(),
            "is a folder; give the file to write, e.g. tokenizer.safetensors",
        ),
    )
    for name, holds, words in rules:
        if not holds:
            raise UserError(f"--{name.replace('_', '-')} {getattr(options, name)}: {words}")
    if options.photos is not None:
        find_images(options.photos)
    try:
        options.out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"--out {options.out}: cannot be written ({error.strerror}); choose another place"
        ) from error


def train_command(options: Train) -> None:
    """Run `tokenize train`: data, training with progress, quality on val, file with its card. Interrupted, it resumes."""
    check(options)
    console = Console()
    images, labels, held_out = training_images(
        options.data_root, options.resolution, options.fractals, options.photos
    )
    console.print(
        f"training on {len(images):,} images of {options.resolution} px for {options.minutes:g} minutes"
    )
    model, start = beginning(options)
    model = model.to(options.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    settings = TrainingSettings(
        options.minutes,
        options.batch,
        options.crop,
        options.learning_rate,
        0.0 if start else options.supervision,
        options.seed,
        options.precision,
        start,
    )
    trainer = Trainer(model, images, labels, settings)
    checkpoint = options.out.with_name(f"{options.out.name}.training")
    with progress_bars(console) as bars:
        try:
            trainer.run(_reporter(bars, model.levels * len(model.codebook)), checkpoint)
        except KeyboardInterrupt:
            console.print(
                f"interrupted: {checkpoint} is kept, and the same command goes on from there"
            )
            raise
    tokenizer = (
        vit_vqgan.of_model(model) if isinstance(model, ViTVQGAN) else BundledTokenizer(model.cpu())
    )
    tokenizer.card = _card(options, tokenizer, trainer, held_out)
    tokenizer.save(options.out)
    checkpoint.unlink()
    shown, drawn = held_out[:: -(-len(held_out) // SHOWN)], options.out.with_suffix(".png")
    _picture.save_png(
        _picture.draw_reconstructions(tokenizer, list(shown), ["val"] * len(shown)), drawn
    )
    console.print(
        f"{options.out}: {tokenizer.card['figures']}, {options.out.stat().st_size / 1e6:.2f} MB; {drawn}: some of val"
    )


def _card(
    options: Train, tokenizer: Tokenizer, trainer: Trainer, held_out: Tensor
) -> dict[str, str]:
    """What a tokenizer's file says of its training, and of its fidelity on images (N, 3, S, S) uint8 that it did not see."""
    firsts = (
        [tokenizer.first(level + 1) for level in range(options.levels)]
        if isinstance(tokenizer, BundledTokenizer)
        else [tokenizer]
    )
    found = [quality(each, held_out) for each in firsts]
    fidelity = " / ".join(f"{each.psnr:.2f}" for each in found)
    of = (
        f" with {' / '.join(str(level + 1) for level in range(options.levels))} levels"
        if options.levels > 1
        else ""
    )
    codes = f"{100 * found[-1].used / tokenizer.codebook[..., 0].numel():.1f} % of codes in use"
    card = {
        "data": _sources(options, len(trainer.images)),
        "command": _command(options),
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads, {options.device}, torch {torch.__version__}",
        "date": date.today().isoformat(),
        "training": f"{trainer.step} steps, {trainer.seconds / 3600:.2f} hours",
        "figures": f"val PSNR {fidelity} dB{of} at {options.resolution} px, {codes} on val",
        "check": check_figures(tokenizer, check_images()),
    }
    if trainer.settings.start:
        card["start"] = f"encoder and first codes of the tokenizer {trainer.settings.start}"
    return card | ({"note": options.note} if options.note else {})


def beginning(options: Train) -> tuple[Trainable, str]:
    """The model that a training begins with, on the CPU, and the identity of the tokenizer that it adds levels to, or "".

    Raises:
        UserError: --start is no tokenizer of the bundled kind.
    """
    with torch.random.fork_rng():
        torch.manual_seed(options.seed)
        if options.architecture == "vit-vqgan":
            blocks = (options.width, options.depth, options.width // HEAD_DIM, 4 * options.width)
            return ViTVQGAN(
                options.resolution // options.patch,
                options.patch,
                options.codes,
                DIM,
                blocks,
                blocks,
            ), ""
        if options.start is None:
            return VQAutoencoder(
                codes=options.codes, width=options.width, depth=options.depth, levels=options.levels
            ), ""
        start = open_tokenizer(options.start)
        if not isinstance(start, BundledTokenizer):
            raise UserError(
                f"--start {options.start}: not of the bundled kind; give bundled or a file of tokenize train"
            )
        model = VQAutoencoder(**{**start.model.config, "levels": options.levels})
    weights = first_levels(start.model, 1).state_dict()
    model.load_state_dict(model.state_dict() | weights)
    if options.levels > 1:  # the same features to begin with, and nothing added
        before = start.model.encoder[:-1].state_dict()
        model.detail[:-1].load_state_dict(before)
    return model, start.identity


def _sources(options: Train, images: int) -> str:
    """What a training learnt from, of so many images in all, for the card."""
    files = 0 if options.photos is None else len(find_images(options.photos))
    cut = files * sum(side**2 for side in TILED)
    parts = [f"{images - options.fractals - cut} images of {options.data_root.name}/train"]
    if options.photos is not None:
        parts.append(f"{cut} tiles of {files} images of {options.photos.name}")
    return ", ".join([*parts, f"{options.fractals} fractals"])


def _command(options: Train) -> str:
    """The command that trains the like, without the places of its files."""
    names = [
        f.name
        for f in fields(Train)
        if f.name not in ("data_root", "out", "photos", "note", "start")
    ]
    places = [
        "--data-root DIR",
        "--out FILE",
        *(["--photos DIR"] if options.photos is not None else []),
    ]
    if options.start is not None:
        places.append(f"--start {options.start if options.start == DEFAULT_TOKENIZER else 'FILE'}")
    words = [f"--{name.replace('_', '-')} {getattr(options, name)}" for name in names]
    return f"python -m seit_cl.tokenize train {' '.join(places + words)}"


def _reporter(bars: Progress, codes: int) -> Callable[[TrainingProgress], None]:
    console, task = bars.console, bars.add_task("train", total=1.0)

    def show(now: TrainingProgress) -> None:
        text = (
            f"step {now.step} loss {now.loss:.4f} PSNR {now.psnr:.1f} dB, {now.codes_alive}/{codes} codes alive, "
            f"{now.speed:,.0f} images/s"
        )
        bars.update(task, completed=now.fraction, description=text)
        if not console.is_terminal and now.step % 1000 == 0:
            console.print(text)
        if now.step == 2000 and now.codes_alive < codes / 2:
            console.print(
                "warning: more than half of the codes are dead; use fewer --codes or a lower --learning-rate"
            )

    return show
