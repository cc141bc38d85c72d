"""What exemplars look like to the learner: decoded, and transformed once where the learner asks for it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seit_cl.formats import ExemplarFormat
from seit_cl.memory.arena import Arena

Transform = Callable[[Tensor], Tensor]
_BATCH = 256  # exemplars decoded and transformed at once


class DecodedCache:
    """Inputs of exemplars.

    Args:
        arena: holds the records, and the transformed inputs as columns "view" and "viewed" (working memory).
        fmt: decodes records.
        transform: applied once to each stored exemplar's decoded input (B, ...) -> (B, ...), or None.
    """

    def __init__(self, arena: Arena, fmt: ExemplarFormat, transform: Transform | None) -> None:
        self.arena, self.fmt, self.transform = arena, fmt, transform
        if transform is not None:
            arena.add_column("viewed", np.dtype(bool), ())

    def inputs(self, slots: NDArray[np.int64]) -> Tensor:
        """Inputs (B, ...) of slots (B,): decoded now, or transformed now or earlier."""
        if self.transform is None or len(slots) == 0:
            return self.fmt.decode(self.arena.records(slots))
        done = self.arena.column("viewed")[slots].astype(bool)
        fresh = np.unique(slots[~done])
        for start in range(0, len(fresh), _BATCH):
            self._transform(fresh[start : start + _BATCH], self.transform)
        return torch.from_numpy(self.arena.column("view")[slots])

    def _transform(self, slots: NDArray[np.int64], transform: Transform) -> None:
        """Decode, transform and keep the inputs of distinct slots (B,)."""
        with torch.no_grad():
            values = transform(self.fmt.decode(self.arena.records(slots))).cpu().numpy()
        if not self.arena.has_column("view"):
            self.arena.add_column("view", values.dtype, values.shape[1:])
        self.arena.column("view")[slots] = values
        self.arena.column("viewed")[slots] = True
