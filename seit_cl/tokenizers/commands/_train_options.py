"""Ranges of the options of `tokenize train`."""

from __future__ import annotations

import math

import torch

from seit_cl.core.errors import UserError
from seit_cl.tokenizers.commands._output import prepare_output
from seit_cl.tokenizers.commands.options import CODEBOOK, Train
from seit_cl.tokenizers.nets.scalar_quantiser import ScalarQuantiser
from seit_cl.tokenizers.nets.vit_vqgan import HEAD_DIM
from seit_cl.tokenizers.nets.vqae import STRIDE
from seit_cl.tokenizers.training.images import find_images

MAX_LEVELS = 16
MAX_CODES = 1 << 15  # tokens are int16


def check(options: Train) -> None:
    """Refuse options that would fail later, and make the output's folder.

    Raises:
        UserError: naming the option, its value and the allowed ones.
    """
    for name, is_valid, words in _rules(options):
        if not is_valid:
            raise UserError(f"--{name.replace('_', '-')} {getattr(options, name)}: {words}")
    if options.quantiser != CODEBOOK:
        _check_quantiser(options)
    if options.photos is not None:
        find_images(options.photos)
    prepare_output(options.out, "tokenizer.safetensors")


def _check_quantiser(options: Train) -> None:
    """Refuse a spec that is no quantiser, and options of a codebook beside it.

    Raises:
        UserError: naming the option and what to do.
    """
    if options.architecture != "bundled" or options.levels != 1 or options.start is not None:
        raise UserError(
            f"--quantiser {options.quantiser}: without a codebook, there is the architecture "
            "bundled with one level; leave out --architecture, --levels and --start"
        )
    try:
        ScalarQuantiser(options.quantiser)
    except ValueError as error:
        raise UserError(f"--{error}") from error


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
        ("steps", options.steps >= 0, "must be 0 or more"),
        ("teacher_steps", options.teacher_steps >= 0, "must be 0 or more"),
        (
            "targets",
            options.targets == "labels" or options.start is None,
            "added levels have no targets; leave it out with --start",
        ),
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
