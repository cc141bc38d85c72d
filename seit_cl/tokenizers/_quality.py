"""How well a tokenizer keeps images: PSNR, codes in use and their entropy; and the figures by which its file is known again."""

from __future__ import annotations

import math
import time
from typing import NamedTuple

import torch
from torch import Tensor

from seit_cl.data.fractals import render
from seit_cl.tokenizers.base import Tokenizer

CHECK_CLASSES, CHECK_EACH, CHECK_SEED = (
    10,
    2,
    5,
)  # fractals neither trained on nor in the built-in data set


def psnr(images: Tensor, restored: Tensor) -> float:
    """Peak signal-to-noise ratio in dB over all pixels of uint8 images of one shape; infinite where they are equal."""
    error = float((images.double() - restored.double()).square().mean())
    return 10 * math.log10(255**2 / error) if error else math.inf


class Quality(NamedTuple):
    """How well a tokenizer keeps images.

    Args:
        psnr: dB over all pixels; infinite where every one came back, not a number where the tokenizer gives no images back.
        used: how many of the G * K codes some position has.
        entropy: bits per token of the codes' frequencies (order 0), on average over the G codes of a position.
        speed: images encoded a second.
    """

    psnr: float
    used: int
    entropy: float
    speed: float


class Counts:
    """How often each code was seen, those of each of a position's G codebooks alone.

    Args:
        codes: of one codebook, K.
        groups: G.
    """

    def __init__(self, codes: int, groups: int = 1) -> None:
        self.codes, self.groups, self.images = codes, groups, 0
        self._seen = torch.zeros(groups * codes, dtype=torch.int64)

    def add(self, tokens: Tensor) -> None:
        """Count the tokens (B, G, H, W) of some more images."""
        self.images += len(tokens)
        places = torch.arange(self.groups, device=tokens.device)[:, None, None] * self.codes
        self._seen += torch.bincount(
            (tokens.int() + places).flatten(), minlength=len(self._seen)
        ).cpu()

    @property
    def used(self) -> int:
        """How many codes were seen."""
        return int((self._seen > 0).sum())

    @property
    def entropy(self) -> float:
        """Bits per token of the codes' frequencies (order 0), the mean over the codebooks."""
        share = self.groups * self._seen[self._seen > 0] / self._seen.sum()
        return float((share * share.reciprocal().log2()).sum()) / self.groups


def quality(tokenizer: Tokenizer, images: Tensor) -> Quality:
    """Encode images (N, 3, S, S) uint8, N > 0, and decode them where the tokenizer does."""
    groups, codes, _ = tokenizer.codebook.shape
    error, seconds, counts = 0.0, 0.0, Counts(codes, groups)
    for chunk in images.split(256):
        began = time.perf_counter()
        tokens = tokenizer.encode(chunk)
        seconds += time.perf_counter() - began
        counts.add(tokens)
        if tokenizer.decodes:
            error += float(
                (tokenizer.decode(tokens).double() - chunk.double()).square().mean((1, 2, 3)).sum()
            )
    fidelity = 10 * math.log10(255**2 / (error / len(images))) if error else math.inf
    return Quality(
        fidelity if tokenizer.decodes else math.nan,
        counts.used,
        counts.entropy,
        len(images) / seconds,
    )


def check_images(resolution: int = 64) -> Tensor:
    """The fractals (20, 3, S, S) that a tokenizer's card gives figures for."""
    return render(CHECK_CLASSES, CHECK_EACH, resolution, CHECK_SEED, "val")[0]


def check_figures(tokenizer: Tokenizer, images: Tensor) -> str:
    """What a card says of check_images."""
    found = quality(tokenizer, images)
    return f"PSNR {found.psnr:.2f} dB, {found.used} codes on {len(images)} fractals of seed {CHECK_SEED}"
