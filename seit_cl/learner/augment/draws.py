"""Random numbers of augmentation, drawn for a whole batch before pure functions use them.

One call of a generator draws all uniform numbers of a batch, another one all normal numbers. The
functions that use them have no generator: they compile, and a CUDA graph can contain them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import torch
from torch import Tensor

__all__ = ["BELOW_ONE", "Draws", "Layout", "Numbers"]

Numbers: TypeAlias = Mapping[str, Tensor]  # (B, *shape) by name
Shapes: TypeAlias = Mapping[str, tuple[int, ...]]  # of one sample's numbers, by name

# Uniform numbers are below this bound, eight float32 steps below 1: their product with n, rounded
# down, is at most n - 1 in float32, whatever n.
BELOW_ONE = 1.0 - 2.0**-20


@dataclass(frozen=True)
class Draws:
    """The random numbers of a batch, a row for each sample.

    Args:
        uniform: (B, U) float32, in [0, BELOW_ONE).
        normal: (B, N) float32, of mean 0 and deviation 1.
    """

    uniform: Tensor
    normal: Tensor

    def __len__(self) -> int:
        return len(self.uniform)

    def first(self, count: int) -> Draws:
        """Views of the numbers of the first samples."""
        return Draws(self.uniform[:count], self.normal[:count])


@dataclass(frozen=True)
class Layout:
    """Names and shapes of the random numbers that one sample needs.

    Args:
        uniform: shapes of uniform numbers; () is a single number.
        normal: shapes of normal numbers.
        uses_normal: name of a uniform number and a probability: only samples whose number is below
            it use their normal numbers. A CPU leaves those of the others at 0, to save time.
    """

    uniform: Shapes = field(default_factory=dict)
    normal: Shapes = field(default_factory=dict)
    uses_normal: tuple[str, float] = ("", 1.0)

    def __add__(self, other: Layout) -> Layout:
        """The numbers of both, which have different names; `other` has the normal ones."""
        assert not self.normal
        return Layout({**self.uniform, **other.uniform}, other.normal, other.uses_normal)

    def draw(self, parts: Sequence[tuple[int, torch.Generator]]) -> Draws:
        """Draw the numbers of a batch, whose parts have generators of their own.

        Args:
            parts: number of samples and generator of each part; all generators are on the device
                where the numbers are used, so that no draw waits for it.
        """
        device = parts[0][1].device
        batch = sum(count for count, _ in parts)
        uniform = torch.empty(batch, _count(self.uniform), device=device)
        normal = torch.empty(batch, _count(self.normal), device=device)
        start = 0
        for count, generator in parts:
            stop = start + count
            uniform[start:stop].uniform_(0.0, BELOW_ONE, generator=generator)
            if normal.numel():
                self._draw_normal(uniform[start:stop], normal[start:stop], generator)
            start = stop
        return Draws(uniform, normal)

    def _draw_normal(self, uniform: Tensor, normal: Tensor, generator: torch.Generator) -> None:
        """Fill normal numbers (B, N); uniform ones (B, U) decide where they are used."""
        name, probability = self.uses_normal
        if normal.device.type != "cpu" or not name:
            normal.normal_(generator=generator)
            return
        is_used = _views(uniform, self.uniform)[name] < probability
        rows = is_used.nonzero().flatten()
        used = torch.empty(len(rows), normal.shape[1]).normal_(generator=generator)
        normal.zero_().index_copy_(0, rows, used)

    def numbers(self, draws: Draws) -> dict[str, Tensor]:
        """Views (B, *shape) of a batch's numbers, by name."""
        views = _views(draws.uniform, self.uniform)
        views.update(_views(draws.normal, self.normal))
        return views


def _count(shapes: Shapes) -> int:
    """Number of values of one sample."""
    return sum(math.prod(shape) for shape in shapes.values())


def _views(values: Tensor, shapes: Shapes) -> dict[str, Tensor]:
    """Cut (B, count) values into views (B, *shape) by name."""
    parts = values.split([math.prod(shape) for shape in shapes.values()], dim=1)
    views = {}
    for (name, shape), part in zip(shapes.items(), parts, strict=True):
        views[name] = part.view(len(values), *shape)
    return views
