"""The model card of a tokenizer from `tokenize train`."""

from __future__ import annotations

import platform
from dataclasses import fields
from datetime import date

import torch
from torch import Tensor

from seit_cl.tokenizers import DEFAULT_TOKENIZER, Tokenizer
from seit_cl.tokenizers._quality import check_figures, check_images, quality
from seit_cl.tokenizers._vqae_tokenizer import VQAETokenizer
from seit_cl.tokenizers.commands.options import Train
from seit_cl.tokenizers.training.images import TILED, find_images
from seit_cl.tokenizers.training.trainer import Trainer

# Options that the command on a card leaves out or writes without their values.
PATHS_AND_NOTES = ("data_root", "out", "photos", "note", "start", "leave_out", "max_pixels")


def model_card(
    options: Train, tokenizer: Tokenizer, trainer: Trainer, held_out: Tensor
) -> dict[str, str]:
    """Write the card: data, command, machine, length and figures of a training.

    Args:
        options: of the command.
        tokenizer: the trained one.
        trainer: has the training images, steps and seconds.
        held_out: images (N, 3, S, S) uint8 to measure the tokenizer on.
    """
    card = {
        "data": _data(options, len(trainer.images)),
        "command": _command(options),
        "machine": (
            f"{platform.machine()}, {torch.get_num_threads()} threads, {options.device}, "
            f"torch {torch.__version__}"
        ),
        "date": date.today().isoformat(),
        "training": f"{trainer.step} steps, {trainer.seconds / 3600:.2f} hours",
        "figures": _figures(options, tokenizer, held_out),
        "check": check_figures(tokenizer, check_images()),
    }
    if trainer.settings.start:
        card["start"] = f"encoder and first codes of the tokenizer {trainer.settings.start}"
    if options.note:
        card["note"] = options.note
    return card


def _figures(options: Train, tokenizer: Tokenizer, held_out: Tensor) -> str:
    """Fidelity with each number of levels, and codes in use with all of them."""
    tokenizers = [tokenizer]
    levels = range(1, options.levels + 1)
    if isinstance(tokenizer, VQAETokenizer):
        tokenizers = [tokenizer.first(level) for level in levels]
    measured = [quality(each, held_out) for each in tokenizers]
    fidelity = " / ".join(f"{each.psnr:.2f}" for each in measured)
    by_level = ""
    if options.levels > 1:
        by_level = f" with {' / '.join(map(str, levels))} levels"
    groups, codes, _ = tokenizer.codebook.shape
    used = 100 * measured[-1].used / (groups * codes)
    return (
        f"val PSNR {fidelity} dB{by_level} at {options.resolution} px, "
        f"{used:.1f} % of codes in use on val"
    )


def _data(options: Train, images: int) -> str:
    """Sources of the training images and their numbers, `images` in total."""
    photos = [] if options.photos is None else find_images(options.photos)
    tiles = len(photos) * sum(side**2 for side in TILED)
    of_folder = images - options.fractals - tiles
    sources = [f"{of_folder} images of {options.data_root.name}/train"]
    if options.photos is not None:
        sources.append(f"{tiles} tiles of {len(photos)} images of {options.photos.name}")
    sources.append(f"{options.fractals} fractals")
    return ", ".join(sources)


def _command(options: Train) -> str:
    """The command of the training, without the paths of its files."""
    words = ["python -m seit_cl.tokenize train", "--data-root DIR", "--out FILE"]
    if options.photos is not None:
        words.append("--photos DIR")
    if options.leave_out is not None:
        words.append(f"--leave-out {options.leave_out.name}")
    if options.start is not None:
        start = options.start if options.start == DEFAULT_TOKENIZER else "FILE"
        words.append(f"--start {start}")
    for option in fields(Train):
        if option.name not in PATHS_AND_NOTES:
            words.append(f"--{option.name.replace('_', '-')} {getattr(options, option.name)}")
    return " ".join(words)
