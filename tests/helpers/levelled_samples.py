"""Small memories of token grids with several levels, which can be cut."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from helpers.memory_samples import TinySource
from seit_cl.data.samples import Samples
from seit_cl.formats import FormatContext, build_format
from seit_cl.memory import ByteBudgetBuffer

LEVELS = 3
CUTS = "degrade=levels,min_levels=1"
# Levels of 9 codes of 5 bits: cut records end within a byte.
CONTEXT = FormatContext(resolution=16, classes=5, codes=32, grid=(LEVELS, 3, 3), tokenizer="levels")
ENDS = (6, 12, 17)  # bytes of a record with 1, 2 and 3 levels


class LevelSource(TinySource):
    """Random token grids of a sample's id."""

    grids = torch.randint(
        CONTEXT.codes, (600, *CONTEXT.grid), generator=torch.Generator().manual_seed(0)
    ).to(torch.int16)

    def tokens(self, ids: Tensor) -> Tensor:
        return self.grids[ids.long()]


def samples(start: int, labels: list[int]) -> Samples:
    """Samples with ids from `start` on."""
    ids = torch.arange(start, start + len(labels))
    return Samples(ids, torch.tensor(labels, dtype=torch.int64), LevelSource())


def memory(
    budget: int, policy: str = "class-balanced", min_levels: int = 1, **rest: Any
) -> ByteBudgetBuffer:
    """An empty memory that cuts exemplars."""
    spec = f"{policy}:degrade=levels,min_levels={min_levels}"
    return ByteBudgetBuffer(budget, build_format("tokens", CONTEXT), CONTEXT, spec, **rest)


def levels_of(inputs: Tensor) -> Tensor:
    """Number of levels (B,) of token grids (B, G, H, W), each of whole levels."""
    there = inputs >= 0
    assert torch.equal(there.all((2, 3)), there.any((2, 3)))
    return there.all((2, 3)).sum(1)
