"""Figures of images and of their reconstructions from tokens, with fidelity and bytes."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from seit_cl.core.figures import literal_text
from seit_cl.core.files import write_atomic
from seit_cl.tokenizers._quality import psnr
from seit_cl.tokenizers.base import Tokenizer

CELL = 1.6  # inches


@literal_text()
def draw_reconstructions(
    tokenizer: Tokenizer, images: Sequence[Tensor], names: Sequence[str]
) -> Figure:
    """Draw original images in the upper row and their reconstructions from tokens in the lower one.

    Args:
        tokenizer: encodes and decodes them.
        images: each (3, S, S) uint8, of any sides that the stride divides.
        names: one per image.
    """
    figure = Figure(figsize=(CELL * len(images), 2 * CELL + 0.9), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, len(images), squeeze=False)
    bits = math.ceil(math.log2(tokenizer.codebook.shape[1]))
    for column, (image, name) in enumerate(zip(images, names, strict=True)):
        tokens = tokenizer.encode(image[None])
        restored = tokenizer.decode(tokens)[0]
        size = math.ceil(tokens.numel() * bits / 8)
        _show(axes[0, column], image)
        _show(axes[1, column], restored)
        axes[0, column].set_title(f"{name}\n{image.shape[-1]} px", fontsize=8)
        axes[1, column].set_xlabel(f"{size:,} bytes\n{psnr(image, restored):.1f} dB", fontsize=8)
    axes[0, 0].set_ylabel("original", fontsize=9)
    axes[1, 0].set_ylabel("from tokens", fontsize=9)
    return figure


@literal_text()
def draw_row(images: Sequence[Tensor], names: Sequence[str]) -> Figure:
    """Draw images, each (3, S, S) uint8 with a name, in a row."""
    figure = Figure(figsize=(CELL * len(images), CELL + 0.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, len(images), squeeze=False)[0]
    for axis, image, name in zip(axes, images, names, strict=True):
        _show(axis, image)
        axis.set_title(name, fontsize=8)
    return figure


def _show(axis: Axes, image: Tensor) -> None:
    axis.imshow(image.permute(1, 2, 0).numpy(), interpolation="nearest")
    axis.set(xticks=[], yticks=[])


@literal_text()
def save_png(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, atomically."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    write_atomic(path, buffer.getvalue())
