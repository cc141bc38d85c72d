"""A cache of exemplars as the learner's inputs: decoded, and transformed once per exemplar."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seit_cl.core.blocks import slices
from seit_cl.formats import ExemplarFormat
from seit_cl.memory.arena import Arena

Transform = Callable[[Tensor], Tensor]
BATCH = 256  # exemplars decoded and transformed at a time at most


class DecodedCache:
    """The inputs of exemplars.

    Transformed inputs are stored in columns of the slot table, as working memory: "transformed" has
    the values, and "is_transformed" marks the slots that have one.

    Args:
        arena: has the records.
        fmt: decodes the records.
        transform: applied once to each exemplar's decoded input, (B, ...) -> (B, ...); or None.
        batch: exemplars that are decoded and transformed at a time.
    """

    def __init__(
        self,
        arena: Arena,
        fmt: ExemplarFormat,
        transform: Transform | None,
        batch: int = BATCH,
    ) -> None:
        self.arena = arena
        self.slots = arena.slots
        self.fmt = fmt
        self.transform = transform
        self.batch = batch
        if transform is not None:
            self.slots.add_column("is_transformed", np.dtype(bool), ())

    def inputs(self, slots: NDArray[np.int64]) -> Tensor:
        """Return the inputs (B, ...) of slots (B,)."""
        if self.transform is None or len(slots) == 0:
            return self.fmt.decode(self.arena.records(slots))
        done = self.slots.column("is_transformed")[slots]
        pending = np.unique(slots[~done])
        for part in slices(len(pending), self.batch):
            self._add(pending[part], self.transform)
        return torch.from_numpy(self.slots.column("transformed")[slots])

    def is_transformed(self, slots: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Tell which of slots (B,) have transformed inputs in working memory; none need one."""
        if self.transform is None:
            return np.zeros(len(slots), bool)
        return np.array(self.slots.column("is_transformed")[slots], bool)

    def forget(self, slot: int) -> None:
        """Drop the transformed input of a slot, because its record was cut."""
        if self.transform is not None:
            self.slots.column("is_transformed")[slot] = False

    def _add(self, slots: NDArray[np.int64], transform: Transform) -> None:
        """Decode and transform the inputs of distinct slots (B,), and store them."""
        with torch.no_grad():
            values = transform(self.fmt.decode(self.arena.records(slots))).cpu().numpy()
        if not self.slots.has_column("transformed"):
            self.slots.add_column("transformed", values.dtype, values.shape[1:])
        self.slots.column("transformed")[slots] = values
        self.slots.column("is_transformed")[slots] = True
