"""A copy of the decoded exemplars on the learner's device."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from seit_cl.core.blocks import slices
from seit_cl.core.devices import device_budget, to_device
from seit_cl.memory.exemplars import Exemplars

CHUNK = 256  # exemplars decoded at a time at most


class DeviceCache:
    """A copy of all exemplars on a device: a batch is one gather there and never waits for the CPU.

    The copy is working memory: reported, not counted against the budget. It is made at the second
    batch after the last change, because a memory that changes between batches (in an online stream)
    is not worth copying; and only if it fits `seit_cl.core.devices.device_budget`. Otherwise every
    batch is decoded and copied on its own.

    Args:
        device: the learner's device.
        read: returns the exemplars of ids (B,), on the CPU.
        count: returns the number of exemplars N.
        copies: False to make no copy, and decode every batch.
        chunk: exemplars that are decoded at a time.
    """

    def __init__(
        self,
        device: torch.device,
        read: Callable[[Tensor], Exemplars],
        count: Callable[[], int],
        copies: bool = True,
        chunk: int = CHUNK,
    ) -> None:
        self.device = device
        self._read = read
        self._count = count
        self._copies = copies
        self._chunk = chunk
        self._batches = 0  # taken since the last change
        self._copy: Exemplars | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of the copy on the device; 0 without one."""
        return 0 if self._copy is None else self._copy.nbytes

    def invalidate(self) -> None:
        """Drop the copy, because exemplars were added or removed."""
        self._batches = 0
        self._copy = None

    def take(self, ids: Tensor) -> Exemplars:
        """Return the exemplars of ids (B,), each in 0..N-1, on the device."""
        source, rows = self.locate(ids)
        return source if rows is None else source[rows]

    def locate(self, ids: Tensor) -> tuple[Exemplars, Tensor | None]:
        """Return the copy of all exemplars and the rows (B,) of ids (B,), both on the device.

        Without a copy it returns the exemplars of the ids themselves, and None.
        """
        self._batches += 1
        if self._batches == 2 and self._copies:
            self._copy = self._copy_all()
        if self._copy is None:
            return self._read(ids.cpu()).to(self.device), None
        return self._copy, to_device(ids, self.device)

    def update(self, ids: Tensor, extras: Mapping[str, Tensor]) -> None:
        """Replace the extras of ids (B,) in the copy with values (B, *shape)."""
        if self._copy is None:
            return
        rows = to_device(ids, self.device)
        for name, values in extras.items():
            stored = self._copy.extras[name]
            stored[rows] = to_device(values.detach(), self.device).to(stored.dtype)

    def _copy_all(self) -> Exemplars | None:
        """Copy all exemplars to the device; None if there are none, or they do not fit."""
        count = self._count()
        if count == 0:
            return None
        first = self._read(torch.zeros(1, dtype=torch.int64))
        if first.nbytes * count > device_budget(self.device):
            return None
        copy = first.room_for(count, self.device)
        for part in slices(count, self._chunk):
            copy.fill(part, self._read(torch.arange(part.start, part.stop)))
        return copy
