"""A picture of originals above their reconstructions from tokens, with fidelity and bytes under each."""

from __future__ import annotations

import io
import math
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from seit_cl.core.files import write_atomic
from seit_cl.tokenizers._quality import psnr
from seit_cl.tokenizers.base import Tokenizer

CELL = 1.6  # inches


def draw(tokenizer: Tokenizer, images: list[Tensor], names: list[str]) -> Figure:
    """Originals in the upper row, reconstructions in the lower one.

    Args:
        tokenizer: encodes and decodes them.
        images: each (3, S, S) uint8, of any sides that the stride divides.
        names: one for each image.
    """
    figure = Figure(figsize=(CELL * len(images), 2 * CELL + 0.9), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, len(images), squeeze=False)
    bits = math.ceil(math.log2(tokenizer.codebook.shape[1]))
    for column, (image, name) in enumerate(zip(images, names, strict=True)):
        tokens = tokenizer.encode(image[None])
        restored = tokenizer.decode(tokens)[0]
        size = math.ceil(tokens.numel() * bits / 8)
        axes[0, column].set_title(f"{name}\n{image.shape[-1]} px", fontsize=8)
        axes[1, column].set_xlabel(f"{size:,} bytes\n{psnr(image, restored):.1f} dB", fontsize=8)
        for row, picture in enumerate((image, restored)):
            axes[row, column].imshow(picture.permute(1, 2, 0).numpy(), interpolation="nearest")
            axes[row, column].set(xticks=[], yticks=[])
    axes[0, 0].set_ylabel("original", fontsize=9)
    axes[1, 0].set_ylabel("from tokens", fontsize=9)
    return figure


def row(images: list[Tensor], names: list[str]) -> Figure:
    """Images, each (3, S, S) uint8 with a name, in a row."""
    figure = Figure(figsize=(CELL * len(images), CELL + 0.4), layout="constrained")
    FigureCanvasAgg(figure)
    for axis, image, name in zip(
        figure.subplots(1, len(images), squeeze=False)[0], images, names, strict=True
    ):
        axis.imshow(image.permute(1, 2, 0).numpy(), interpolation="nearest")
        axis.set_title(name, fontsize=8)
        axis.set(xticks=[], yticks=[])
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, atomically."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    write_atomic(path, buffer.getvalue())
