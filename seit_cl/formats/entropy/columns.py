"""Columns of the codes that are known of a token before it is decoded.

These are its ten NEIGHBOURS, where code K stands for the border of a grid; up to EARLIER codes of
the same position, the latest first; and for sequences the token's place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import pad

# Neighbours decoded before a token: distances in rows and columns, nearest first.
NEIGHBOURS = (
    (0, -1),
    (-1, 0),
    (-1, -1),
    (-1, 1),
    (0, -2),
    (-2, 0),
    (-1, 2),
    (-2, -1),
    (-2, 1),
    (-1, -2),
)
REACH = 2  # rows above and columns on either side that NEIGHBOURS extend to
EARLIER = 3  # codes of the same position that a further code's model knows, at most


class Columns(Protocol):
    """The part of an EntropyModel that says what its columns are.

    Attributes:
        codes: K.
        known: codes of the same position among the columns.
    """

    @property
    def codes(self) -> int:
        """K."""

    @property
    def known(self) -> int:
        """Codes of the same position among the columns."""


def columns_of(model: Columns, grids: Tensor, group: int, columns: Sequence[int]) -> Tensor:
    """Columns of what is known about every token of one code of a position.

    Args:
        model: of the code.
        grids: (B, G, H, W) int64.
        group: number of the code, from 0.
        columns: numbers of the columns; see EntropyModel.

    Returns:
        (B, H, W, columns) int64.
    """
    _, _, height, width = grids.shape
    framed = pad(grids[:, group], (REACH, REACH, REACH, 0), value=model.codes)
    views = []
    for column in columns:
        before = column - len(NEIGHBOURS)
        if before < 0:
            y, x = NEIGHBOURS[column]
            views.append(framed[:, REACH + y :, REACH + x :][:, :height, :width])
        elif before < model.known:
            views.append(grids[:, group - 1 - before])
        else:
            places = torch.arange(width, device=grids.device)
            views.append(places.expand(len(grids), height, -1))
    return torch.stack(views, -1)


def neighbours_of(tokens: Tensor, codes: int) -> Tensor:
    """Codes around every token.

    Args:
        tokens: grids (B, H, W).
        codes: codebook size K.

    Returns:
        (B, H, W, 10) int64, in the order of NEIGHBOURS; K beyond the border.
    """
    _, height, width = tokens.shape
    framed = pad(tokens.long(), (REACH, REACH, REACH, 0), value=codes)
    views = [
        framed[:, REACH + y : REACH + y + height, REACH + x : REACH + x + width]
        for y, x in NEIGHBOURS
    ]
    return torch.stack(views, -1)
