"""Codebooks and token grids for tests of token augmentation."""

from __future__ import annotations

import torch
from torch import Tensor

from helpers.generators import generator
from seit_cl.learner.augment.tokens import TokenAugment


def codebook(groups: int = 1, codes: int = 50, dim: int = 8) -> Tensor:
    """Draw a codebook (groups, codes, dim); each group has a mean of its own."""
    spread = 3.0 * torch.randn(groups, codes, dim, generator=generator(11))
    offset = torch.randn(groups, 1, dim, generator=generator(12))
    return spread + offset


def grid(
    batch: int = 6, groups: int = 1, side: int = 32, dtype: torch.dtype = torch.int16
) -> Tensor:
    """Draw tokens (batch, groups, side, side) of the first 50 codes, always the same."""
    return torch.randint(0, 50, (batch, groups, side, side), generator=generator(13), dtype=dtype)


def codes_of(module: TokenAugment, rows: Tensor) -> Tensor:
    """Codes (B, G, S, S) in [0, K) of rows of the embedding table, each of its own group."""
    first_rows = torch.arange(module.groups)[:, None, None] * module.codes
    codes = rows - first_rows
    assert bool(((codes >= 0) & (codes < module.codes)).all())
    return codes
