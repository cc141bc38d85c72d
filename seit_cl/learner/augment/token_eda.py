"""Token-EDA: synonyms and swaps in token grids, as pure functions of random numbers.

The text augmentations of EDA (Wei and Zou, EMNLP 2019), carried over to codes by SeiT (Park et al.,
ICCV 2023). Shapes: B batch, G codes per position, S x S token grid.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["replace_by_synonyms", "swap_squares"]


def replace_by_synonyms(
    rows: Tensor, spared: Tensor, numbers: Tensor, synonyms: Tensor, bounds: Tensor
) -> Tensor:
    """Replace some codes by synonyms, except in the images that are spared.

    One number per code decides both: below the last bound the code is replaced, and the bounds that
    the number lies between pick the synonym.

    Args:
        rows: (B, G, S, S) int64, rows of the embedding table.
        spared: (B,) bool.
        numbers: (B, G, S, S) uniform.
        synonyms: (G * K, n + 1) int64, the synonyms of each row and last the row itself.
        bounds: (n,) rising.
    """
    numbers = numbers.masked_fill(spared[:, None, None, None], 1.0)
    rank = torch.bucketize(numbers, bounds, right=True)  # 0..n
    return synonyms.view(-1)[torch.add(rank, rows, alpha=synonyms.shape[1])]


def swap_squares(
    rows: Tensor,
    chosen: Tensor,
    square: Tensor,
    scores: Tensor,
    position: Tensor,
    largest_side: int,
) -> Tensor:
    """Swap two disjoint squares of the chosen images.

    The squares of an image have one side, from 1 to `largest_side`, which is at most a third of the
    grid, so there is always a place for the second square.

    Args:
        rows: (B, G, S, S) int64.
        chosen: (B,) bool.
        square: (B, 3) uniform: the squares' side, and the first one's vertical and horizontal
            place.
        scores: (B, S, S) uniform; the second square lies where its corner's is largest, among the
            places that are disjoint from the first one.
        position: (S,) float32, 0 to S - 1.
        largest_side: in positions.
    """
    grid = rows.shape[-1]
    last = (square[:, 0] * largest_side).floor()  # (B,), the squares' side - 1
    places = grid - last
    corner = (square[:, 1:] * places[:, None]).floor()  # (B, 2), vertical and horizontal

    distance = (position - corner[:, :, None]).abs()  # (B, 2, S)
    distance = torch.maximum(distance[:, 0, :, None], distance[:, 1, None, :])  # (B, S, S)
    is_near = distance <= last[:, None, None]
    is_outside = torch.maximum(position[:, None], position) >= places[:, None, None]
    place_2 = scores.masked_fill(is_near | is_outside, -1.0).flatten(1).argmax(dim=1)  # (B,)

    top, left = corner.unbind(1)
    corners = torch.stack([top, left, place_2 // grid, place_2 % grid], dim=1)
    offset = position - corners.view(-1, 2, 2, 1)  # (B, 2 squares, 2 axes, S)
    within = (offset >= 0.0) & (offset <= last[:, None, None, None])
    squares = within[:, :, 0, :, None] & within[:, :, 1, None, :]  # (B, 2, S, S)
    shift = (place_2 - torch.add(left, top, alpha=grid)) * chosen
    shift = shift[:, None, None]
    own = torch.add(position, position[:, None], alpha=grid)  # (S, S)
    source = torch.addcmul(own, squares[:, 0], shift)
    source = torch.addcmul(source, squares[:, 1], shift, value=-1.0).long()
    source = source.flatten(1)[:, None].expand(-1, rows.shape[1], -1)
    return rows.flatten(2).gather(2, source).view(rows.shape)
