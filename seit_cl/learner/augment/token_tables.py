"""Tables that token augmentation computes once from a codebook.

Shapes: G codes per position, K codebook size, D code dimension.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

__all__ = ["Combine", "embedding_moments", "nearest_codes", "row_tables", "with_missing_row"]

Combine = Literal["sum", "concat"]


def nearest_codes(codebook: Tensor, count: int, chunk: int = 1024) -> Tensor:
    """Find every code's nearest other codes, by Euclidean distance within its own codebook.

    Args:
        codebook: (G, K, D) float32.
        count: number of neighbours; K - 1 where that is fewer.
        chunk: rows of the distance matrix computed at a time.

    Returns:
        (G, K, min(count, K - 1)) int64, nearest first.
    """
    groups, codes, _ = codebook.shape
    count = min(count, codes - 1)
    table = torch.empty(groups, codes, count, dtype=torch.int64, device=codebook.device)
    for start in range(0, codes, chunk):
        rows = torch.arange(start, min(start + chunk, codes), device=codebook.device)
        distance = torch.cdist(codebook[:, rows], codebook)
        distance[:, rows - start, rows] = torch.inf
        table[:, rows] = distance.topk(count, dim=2, largest=False).indices
    return table


def embedding_moments(codebook: Tensor, combine: Combine) -> tuple[Tensor, Tensor]:
    """Scalar mean and deviation of the embeddings of uniform and independent codes.

    Args:
        codebook: (G, K, D) float32.
        combine: how a position's G vectors become its embedding.

    Returns:
        Two scalars; the deviation is 1 where it would be 0.
    """
    if combine == "concat":
        mean = codebook.mean()
        variance = codebook.var(unbiased=False)
    else:
        centre = codebook.mean(dim=1).sum(dim=0)  # (D,)
        mean = centre.mean()
        within_codebooks = codebook.var(dim=1, unbiased=False).sum(dim=0).mean()
        variance = within_codebooks + centre.var(unbiased=False)
    return mean, torch.where(variance > 0.0, variance.sqrt(), torch.ones_like(variance))


def row_tables(neighbours: Tensor, mirror: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Convert tables of codes to tables of rows of the embedding table, code k of group g being row
    g * K + k.

    Args:
        neighbours: (G, K, n) int64, a code's synonyms in its own codebook.
        mirror: (G, K) int64, its mirror image, or None.

    Returns:
        (G * K, n + 1) int64, the synonyms of each row and last the row itself; and (G * K,) int64,
        the mirror image of each row, or None.
    """
    groups, codes, _ = neighbours.shape
    first_rows = torch.arange(groups, device=neighbours.device)[:, None] * codes
    own_rows = torch.arange(groups * codes, device=neighbours.device)
    synonyms = (neighbours + first_rows[:, :, None]).flatten(0, 1)
    synonyms = torch.cat([synonyms, own_rows[:, None]], dim=1)
    return synonyms, None if mirror is None else (mirror + first_rows).flatten()


def with_missing_row(
    table: Tensor, synonyms: Tensor, mirror: Tensor | None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Add the row of a missing code to tables: a zero vector, its own synonym and mirror image.

    Args:
        table: (R, D), standardised vectors.
        synonyms: (R, n + 1) int64.
        mirror: (R,) int64, or None.

    Returns:
        Tables of R + 1 rows.
    """
    own = synonyms.new_full((1, synonyms.shape[1]), len(table))
    table = torch.cat([table, torch.zeros_like(table[:1])])
    synonyms = torch.cat([synonyms, own])
    if mirror is not None:
        mirror = torch.cat([mirror, own[0, :1]])
    return table, synonyms, mirror
