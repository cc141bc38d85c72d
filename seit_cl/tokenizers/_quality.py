"""Fidelity and code use of a tokenizer, and the figures that identify its weights."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from seit_cl.core.blocks import images_at_once
from seit_cl.data.fractals import render
from seit_cl.tokenizers.base import Tokenizer

# Fractals that are neither trained on nor part of the built-in data set.
CHECK_CLASSES = 10
CHECK_PER_CLASS = 2
CHECK_SEED = 5
CHUNK = 256  # images encoded at a time, at most


def psnr(images: Tensor, restored: Tensor) -> float:
    """Peak signal-to-noise ratio in dB over all pixels of uint8 images; infinite for equal ones."""
    return decibels(squared_error(images, restored), images.numel())


def squared_error(images: Tensor, restored: Tensor) -> int:
    """Sum of the squared differences of uint8 images; exact, so that blocks of them may be added.

    It takes ten bytes for each of their values meanwhile.
    """
    difference = images.short() - restored.short()
    return int(difference.int().square_().sum())


def decibels(error: int, values: int) -> float:
    """PSNR of a sum of squared differences of so many 8-bit values; infinite for 0."""
    return 10 * math.log10(255**2 * values / error) if error else math.inf


class Quality(NamedTuple):
    """Fidelity, code use and speed of a tokenizer on some images.

    Args:
        psnr: dB over all pixels; infinite where every pixel is equal, not a number where the
            tokenizer does not decode.
        used: number of the G * K codes that some position has.
        entropy: bits per token of the codes' frequencies (order 0), the mean over the G codes of a
            position.
        speed: images encoded per second.
    """

    psnr: float
    used: int
    entropy: float
    speed: float


class Counts:
    """Counts of each code, separately for each of a position's G codebooks.

    Args:
        codes: codes of one codebook, K.
        groups: codebooks, G.
    """

    def __init__(self, codes: int, groups: int = 1) -> None:
        self.codes = codes
        self.groups = groups
        self.images = 0
        self._counts = torch.zeros(groups * codes, dtype=torch.int64)

    def add(self, tokens: Tensor) -> None:
        """Count the tokens (B, G, H, W) of further images."""
        self.images += len(tokens)
        first_codes = torch.arange(self.groups, device=tokens.device)[:, None, None] * self.codes
        numbered = (tokens.int() + first_codes).flatten()
        self._counts += torch.bincount(numbered, minlength=len(self._counts)).cpu()

    @property
    def used(self) -> int:
        """Number of codes that occur."""
        return int((self._counts > 0).sum())

    @property
    def entropy(self) -> float:
        """Bits per token of the codes' frequencies (order 0), the mean over the codebooks."""
        share = self.groups * self._counts[self._counts > 0] / self._counts.sum()
        return float((share * share.reciprocal().log2()).sum()) / self.groups


def quality(tokenizer: Tokenizer, images: Tensor | Iterable[Tensor]) -> Quality:
    """Measure a tokenizer on images.

    Args:
        tokenizer: encodes them, and decodes their tokens if it can.
        images: (N, 3, S, S) uint8, N > 0, or blocks of them.
    """
    if isinstance(images, Tensor):
        images = images.split(images_at_once(images.shape[-1], CHUNK))
    groups, codes, _ = tokenizer.codebook.shape
    counts = Counts(codes, groups)
    error = 0
    values = 0
    seconds = 0.0
    for chunk in images:
        start = time.perf_counter()
        tokens = tokenizer.encode(chunk)
        seconds += time.perf_counter() - start
        counts.add(tokens)
        if tokenizer.decodes:
            error += squared_error(tokenizer.decode(tokens), chunk)
            values += chunk.numel()
    fidelity = decibels(error, values) if tokenizer.decodes else math.nan
    return Quality(fidelity, counts.used, counts.entropy, counts.images / seconds)


def check_images(resolution: int = 64) -> Tensor:
    """Render the fractals (20, 3, S, S) uint8 that model cards give figures for."""
    return render(CHECK_CLASSES, CHECK_PER_CLASS, resolution, CHECK_SEED, "val")[0]


def check_figures(tokenizer: Tokenizer, images: Tensor) -> str:
    """Describe fidelity and code use on `check_images` for a model card."""
    measured = quality(tokenizer, images)
    return (
        f"PSNR {measured.psnr:.2f} dB, {measured.used} codes "
        f"on {len(images)} fractals of seed {CHECK_SEED}"
    )
