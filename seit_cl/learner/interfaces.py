"""Contracts between the learner and what it is given: augmentation and the memory."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor


class Augment(Protocol):
    """Raw tokens (B, G, H, W) or pixels (B, 3, S, S) -> inputs (B, D, h, w) float32, on the same device."""

    def __call__(
        self, raw: Tensor, generator: torch.Generator | None, train: bool = True
    ) -> Tensor:
        """Augmented inputs when training, the plain centre crop otherwise."""


class Exemplars(Protocol):
    """A batch of exemplars (seit_cl.memory.device_cache.Exemplars)."""

    @property
    def inputs(self) -> Tensor:
        """Raw data (B, ...)."""

    @property
    def labels(self) -> Tensor:
        """(B,) int64."""

    @property
    def ids(self) -> Tensor:
        """(B,) int64."""

    @property
    def extras(self) -> dict[str, Tensor]:
        """What the strategy stores, (B, *shape) each."""

    def __getitem__(self, rows: Tensor) -> Exemplars: ...


class Memory(Protocol):
    """What batches need of a memory (seit_cl.memory.buffer.ByteBudgetBuffer)."""

    def __len__(self) -> int: ...

    def sample(self, n: int, generator: torch.Generator) -> Exemplars:
        """Exemplars drawn uniformly."""

    def by_ids(self, ids: Tensor) -> Exemplars:
        """The exemplars of ids (B,), each in 0..N-1."""
