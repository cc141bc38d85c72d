"""How well a tokenizer keeps images: PSNR and codes in use; and the figures by which its file is known again."""

from __future__ import annotations

import math

from torch import Tensor

from seit_cl.datasets.fractals import render
from seit_cl.tokenizers.base import Tokenizer

CHECK_CLASSES, CHECK_EACH, CHECK_SEED = 10, 2, 5  # fractals neither trained on nor in the built-in data set


def psnr(images: Tensor, restored: Tensor) -> float:
    """Peak signal-to-noise ratio in dB over all pixels of uint8 images of one shape; infinite where they are equal."""
    error = float((images.double() - restored.double()).square().mean())
    return 10 * math.log10(255**2 / error) if error else math.inf


def quality(tokenizer: Tokenizer, images: Tensor) -> tuple[float, int]:
    """PSNR in dB over all pixels, and the number of codes in use, on images (N, 3, S, S) uint8, N > 0."""
    error, used = 0.0, set()
    for chunk in images.split(256):
        tokens = tokenizer.encode(chunk)
        used.update(tokens.unique().tolist())
        error += float((tokenizer.decode(tokens).double() - chunk.double()).square().mean((1, 2, 3)).sum())
    return 10 * math.log10(255**2 / (error / len(images))), len(used)


def check_images(resolution: int = 64) -> Tensor:
    """The fractals (20, 3, S, S) that a tokenizer's card gives figures for."""
    return render(CHECK_CLASSES, CHECK_EACH, resolution, CHECK_SEED, "val")[0]


def check_figures(tokenizer: Tokenizer, images: Tensor) -> str:
    """What a card says of check_images."""
    fidelity, used = quality(tokenizer, images)
    return f"PSNR {fidelity:.2f} dB, {used} codes on {len(images)} fractals of seed {CHECK_SEED}"
