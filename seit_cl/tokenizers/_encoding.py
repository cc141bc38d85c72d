"""Encoding of image files, and the image sides that a tokenizer accepts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from seit_cl.core.errors import UserError
from seit_cl.data.images import load_images
from seit_cl.tokenizers.base import Tokenizer

CHUNK = 256  # images decoded and tokenized at a time


def encode_files(
    paths: Sequence[Path],
    tokenizer: Tokenizer,
    resolution: int,
    advance: Callable[[int], None] = lambda images: None,
) -> Tensor:
    """Tokenize image files.

    Args:
        paths: N image files.
        tokenizer: encodes them.
        resolution: side S in pixels that images are resized to.
        advance: called after each chunk with its number of images.

    Returns:
        (N, G, H, W) int16.

    Raises:
        UserError: an image that cannot be read, or a side that the stride does not divide.
    """
    parts = []
    for start in range(0, len(paths), CHUNK):
        images = load_images(paths[start : start + CHUNK], resolution)
        parts.append(tokenizer.encode(images))
        advance(len(images))
    return torch.cat(parts)


def check_resolution(side: int, stride: int, option: str = "--resolution") -> None:
    """Refuse an image side in pixels that is not a multiple of a tokenizer's stride.

    Raises:
        UserError: naming the option.
    """
    if side < stride or side % stride:
        raise UserError(f"{option} {side}: must be a multiple of {stride}")
