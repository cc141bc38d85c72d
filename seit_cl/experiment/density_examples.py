"""A few images before and after each format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from seit_cl.core.errors import UserError
from seit_cl.data.patches import decode_partial
from seit_cl.data.stored import StoredImage
from seit_cl.experiment.density import ImageSource, Material
from seit_cl.formats import ExemplarFormat

IMAGES_SHOWN = 6  # where none is named
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
        paths: image files, or stored images; where there are none, some of the material's images,
            evenly chosen.
        formats: with the context of the material.
        material: its tokenizer and side are used.
    """
    tokenizer = material.tokenizer
    if paths:
        source = ImageSource(paths, material.side, tokenizer)
        samples = Material(tokenizer, source, material.side, material.classes).samples
    else:
        count = len(material.source)
        chosen = torch.linspace(0, count - 1, min(count, IMAGES_SHOWN)).round().long()
        samples = material.samples[chosen]
    examples = Examples(samples.pixels(), {}, {})
    for fmt in formats:
        records = fmt.encode(samples)
        decoded = fmt.decode(records)
        if fmt.domain == "tokens":
            if not tokenizer.decodes:
                continue
            decoded = decode_partial(tokenizer.decode, decoded)
        examples.decoded[fmt.spec] = decoded
        examples.sizes[fmt.spec] = records.lengths
    return examples
