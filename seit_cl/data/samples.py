"""Samples offered to the memory: ids and labels, with contents that are loaded on demand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor


class SampleSource(Protocol):
    """Source of the contents of samples, by ids (B,) int64, which are indices of the train set."""

    def tokens(self, ids: Tensor) -> Tensor:
        """Token grids (B, G, H, W) int16, on the CPU."""

    def pixels(self, ids: Tensor) -> Tensor:
        """Images (B, 3, S, S) uint8 at the learner's resolution, on the CPU."""

    def files(self, ids: Tensor) -> list[bytes]:
        """Bytes of the original files, one for each sample."""


@dataclass(frozen=True)
class Samples:
    """Samples of an experience.

    Args:
        ids: (B,) int64, each sample's index in the train set; stable over a run.
        labels: (B,) int64, positions in the scenario's class order.
        source: loads tokens, pixels and files on demand.
    """

    ids: Tensor
    labels: Tensor
    source: SampleSource

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: slice | Tensor) -> Samples:
        return Samples(self.ids[index], self.labels[index], self.source)

    def tokens(self) -> Tensor:
        """Token grids (B, G, H, W) int16."""
        return self.source.tokens(self.ids)

    def pixels(self) -> Tensor:
        """Images (B, 3, S, S) uint8."""
        return self.source.pixels(self.ids)

    def files(self) -> list[bytes]:
        """Bytes of the original files."""
        return self.source.files(self.ids)
