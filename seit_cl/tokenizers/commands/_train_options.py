"""Options of `tokenize train` and their ranges."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import torch

from seit_cl.core.cli import hint
from seit_cl.core.errors import UserError
from seit_cl.tokenizers.commands._output import prepare_output
from seit_cl.tokenizers.nets.vit_vqgan import HEAD_DIM
from seit_cl.tokenizers.nets.vqae import STRIDE
from seit_cl.tokenizers.training.images import find_images

MAX_LEVELS = 16
MAX_CODES = 1 << 15  # tokens are int16


@dataclass(frozen=True)
class Train:
    """Train a tokenizer on an image folder and fractals, and measure it on the val images."""

    data_root: Annotated[Path, hint("folder with train/<class>/* and val/<class>/*")]
    out: Annotated[Path, hint("safetensors file to write")]
    minutes: Annotated[float, hint("wall-clock minutes of training")] = 20.0
    resolution: Annotated[int, hint("image side in pixels")] = 64
    fractals: Annotated[int, hint("fractal images in addition to the folder's")] = 2500
    photos: Annotated[
        Path | None, hint("folder of larger images, trained on in tiles and without classes")
    ] = None
    architecture: Annotated[
        Literal["bundled", "vit-vqgan"], hint("convolutions of stride 8, or a ViT-VQGAN")
    ] = "bundled"
    levels: Annotated[
        int, hint("codes per position, bundled only; FILE,levels=1 uses the first alone")
    ] = 1
    start: Annotated[
        str | None,
        hint(
            "tokenizer of this kind to add levels to, e.g. bundled: its encoder and first codes do "
            "not change, and it sets --codes, --width and --depth"
        ),
    ] = None
    codes: Annotated[int, hint("codebook size K; even for bundled")] = 1024
    width: Annotated[
        int, hint("channels at stride 8, a multiple of 4; for vit-vqgan a multiple of 64")
    ] = 128
    depth: Annotated[
        int, hint("encoder blocks at stride 8; for vit-vqgan blocks of encoder and of decoder")
    ] = 3
    patch: Annotated[int, hint("patch side in pixels of vit-vqgan, its stride")] = STRIDE
    batch: Annotated[int, hint("images per step")] = 64
    crop: Annotated[
        int, hint("side in pixels of the random training crops; whole images at the end")
    ] = 32
    learning_rate: Annotated[float, hint("peak learning rate of AdamW")] = 2e-3
    supervision: Annotated[
        float, hint("weight of the classification loss on the codes; 0: none")
    ] = 1.0
    precision: Annotated[
        Literal["fp32", "bf16"], hint("of the forward pass; codes are assigned in float32")
    ] = "fp32"
    seed: Annotated[int, hint("seed of weights, batches and fractals")] = 0
    device: Annotated[Literal["cpu", "cuda"], hint("device of the training")] = "cpu"
    note: Annotated[str, hint("for the model card: terms of the data, limits of the tokenizer")] = (
        ""
    )


def check(options: Train) -> None:
    """Refuse options that would fail later, and make the output's folder.

    Raises:
        UserError: naming the option, its value and the allowed ones.
    """
    for name, is_valid, words in _rules(options):
        if not is_valid:
            raise UserError(f"--{name.replace('_', '-')} {getattr(options, name)}: {words}")
    if options.photos is not None:
        find_images(options.photos)
    prepare_output(options.out, "tokenizer.safetensors")


def _rules(options: Train) -> list[tuple[str, bool, str]]:
    """Name of an option, True where its value is valid, and the words for a value that is not."""
    vit = options.architecture == "vit-vqgan"
    patch = options.patch
    width_unit = HEAD_DIM if vit else 4
    min_crop = max(16, 2 * patch)  # the classification loss needs at least 2 x 2 codes
    most_levels = 1 if vit else MAX_LEVELS
    least_depth = 1 if vit else 0
    crop_fits = min_crop <= options.crop <= options.resolution and options.crop % patch == 0
    return [
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
            1 <= options.levels <= most_levels,
            f"must be from 1 to {MAX_LEVELS}, and 1 with vit-vqgan",
        ),
        (
            "start",
            options.start is None or not vit,
            "adds levels to a tokenizer of the bundled kind; leave --architecture out",
        ),
        (
            "codes",
            2 <= options.codes <= MAX_CODES and (vit or options.codes % 2 == 0),
            f"must be even and from 2 to {MAX_CODES}",
        ),
        (
            "width",
            options.width >= 4 and options.width % width_unit == 0,
            f"must be a multiple of {width_unit}",
        ),
        ("depth", options.depth >= least_depth, f"must be {least_depth} or more"),
        ("batch", options.batch >= 2, "must be at least 2"),
        ("crop", crop_fits, f"must be a multiple of {patch} from {min_crop} to --resolution"),
        ("supervision", 0 <= options.supervision < math.inf, "must be 0 or more"),
        ("learning_rate", 0 < options.learning_rate < math.inf, "must be positive"),
        (
            "device",
            options.device == "cpu" or torch.cuda.is_available(),
            "this machine has no CUDA device; use --device cpu",
        ),
    ]
