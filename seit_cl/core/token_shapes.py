"""Shapes of the tokens of an image: a square grid, or a sequence as a grid of one row."""

from __future__ import annotations

from typing import Any


def positions_in_row(tokenizer: Any) -> int:
    """Read a tokenizer's `row`; one of another package that has none makes grids.

    Args:
        tokenizer: as `seit_cl.open_tokenizer` returns it.
    """
    row: int = getattr(tokenizer, "row", 1)
    return row


def is_sequence(tokenizer: Any) -> bool:
    """Return True where a tokenizer's tokens have no places in the image.

    Args:
        tokenizer: as for `positions_in_row`.
    """
    return positions_in_row(tokenizer) > 1


def token_shape(tokenizer: Any, side: int) -> tuple[int, int, int]:
    """Shape (G, H, W) of the tokens of an image.

    Args:
        tokenizer: has `codebook` (G, K, D), `stride`, and `row` where it makes sequences.
        side: of the image in pixels, a multiple of the stride.
    """
    height = side // tokenizer.stride
    return len(tokenizer.codebook), height, height * positions_in_row(tokenizer)
