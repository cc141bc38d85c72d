"""A few images before and after each format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from seit_cl.core.errors import UserError
from seit_cl.data.arrays import ArrayImage, PixelArray
from seit_cl.data.fractals import render
from seit_cl.data.stored import StoredImage
from seit_cl.experiment.density import ImageSource, Material
from seit_cl.formats import ExemplarFormat
from seit_cl.tokenizers._quality import CHECK_SEED

FRACTALS_SHOWN = 6
MOST_SHOWN = 32  # images of a picture


@dataclass(frozen=True)
class Examples:
    """Images before and after each format.

    Args:
        originals: (B, 3, S, S) uint8.
        decoded: (B, 3, S, S) uint8 by format, for formats of which images are decoded.
        sizes: bytes (B,) of the records by format, for the same.
    """

    originals: Tensor
    decoded: dict[str, Tensor]
    sizes: dict[str, Tensor]


def check_shown(paths: Sequence[Path], option: str) -> None:
    """Refuse more images than a picture has room for.

    Raises:
        UserError: naming the option.
    """
    if len(paths) > MOST_SHOWN:
        raise UserError(f"{option}: {len(paths):,} images; give at most {MOST_SHOWN}")


def encode_examples(
    paths: Sequence[StoredImage | Path], formats: Sequence[ExemplarFormat], material: Material
) -> Examples:
    """Encode and decode example images in every format.

    Args:
        paths: image files, or stored images; fractals are rendered where there are none.
        formats: with the context of the material.
        material: its tokenizer and side are used.
    """
    tokenizer = material.tokenizer
    if paths:
        source = ImageSource(paths, material.side, tokenizer)
    else:
        source = ImageSource(_fractals(material.side), material.side, tokenizer, has_files=False)
    samples = Material(tokenizer, source, material.side, material.classes).samples
    examples = Examples(samples.pixels(), {}, {})
    for fmt in formats:
        records = fmt.encode(samples)
        decoded = fmt.decode(records)
        if fmt.domain == "tokens":
            if not tokenizer.decodes:
                continue
            decoded = tokenizer.decode(decoded)
        examples.decoded[fmt.spec] = decoded
        examples.sizes[fmt.spec] = records.lengths
    return examples


def _fractals(side: int) -> list[StoredImage]:
    """Fractals of a side in pixels, as arrays."""
    images, _ = render(FRACTALS_SHOWN, 1, side, CHECK_SEED, "val")
    source = PixelArray(images.permute(0, 2, 3, 1).numpy(), "fractals")
    return [ArrayImage(source, row, "fractal") for row in range(len(images))]
