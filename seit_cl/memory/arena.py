"""The arena: a log-structured buffer with the bytes of all records."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from seit_cl.core.blocks import slices
from seit_cl.formats._records import Records
from seit_cl.memory.slots import SlotTable

_INITIAL_BYTES = 1 << 12  # bytes of the first buffer
_GATHERED = 1024  # records gathered at a time


class Arena:
    """Records of equal or unequal length; the slot table has the offset and length of each.

    New records go to the tail of the buffer, and removed records leave gaps. When the tail reaches
    the end, the live records are compacted, into a buffer of twice the size if more than half of
    the present one is live (up to twice the capacity). Appending a record costs amortised O(1), and
    the buffer of a memory that stores little stays small.

    Args:
        capacity: the most bytes of records that may be live at once.
        slots: an empty table.
    """

    def __init__(self, capacity: int, slots: SlotTable) -> None:
        self.capacity = capacity
        self.slots = slots
        self._tail = 0
        self._data = torch.empty(min(_INITIAL_BYTES, max(1, 2 * capacity)), dtype=torch.uint8)
        self._bytes: NDArray[np.uint8] = self._data.numpy()

    @property
    def nbytes(self) -> int:
        """Bytes of main memory that the buffer occupies."""
        return len(self._data)

    def append(self, record: NDArray[np.uint8], label: int, cost: int) -> int:
        """Store a record and add its row to the slot table.

        Args:
            record: (L,) uint8.
            label: class of the exemplar.
            cost: bytes of the exemplar in the file.

        Returns:
            The exemplar's slot.

        Raises:
            ValueError: the live records would exceed the capacity.
        """
        length = len(record)
        live = self.slots.record_bytes
        if live + length > self.capacity:
            raise ValueError(f"{live} + {length} bytes exceed the arena's {self.capacity}")
        if self._tail + length > len(self._data):
            self._reserve(live + length)
        start = self._tail
        self._tail = start + length
        self._bytes[start : self._tail] = record
        return self.slots.append(label, start, length, cost)

    def record(self, slot: int) -> NDArray[np.uint8]:
        """Return the record (L,) of a slot: a view of the buffer, valid until the next append."""
        start = int(self.slots.column("offset")[slot])
        return self._bytes[start : start + int(self.slots.column("length")[slot])]

    def replace(self, slot: int, record: NDArray[np.uint8]) -> None:
        """Put a record (L,) in the place of one that is at least as long.

        Raises:
            ValueError: the record is longer.
        """
        place = self.record(slot)
        if len(record) > len(place):
            raise ValueError(f"a record of {len(record)} bytes in the place of {len(place)}")
        place[: len(record)] = record
        self.slots.set_length(slot, len(record))

    def records(self, slots: NDArray[np.int64]) -> Records:
        """Return the records of slots (B,): views of the buffer, valid until the next append."""
        offsets = self.slots.column("offset")[slots]
        lengths = self.slots.column("length")[slots]
        return Records(self._data, torch.from_numpy(offsets), torch.from_numpy(lengths))

    def gather(self, slots: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return a copy of the bytes of the records of slots (B,), one after the other."""
        gathered = np.empty(int(self.slots.column("length")[slots].sum()), np.uint8)
        start = 0
        for part in slices(len(slots), _GATHERED):
            data = b"".join(self.records(slots[part]).to_bytes())
            gathered[start : start + len(data)] = np.frombuffer(data, np.uint8)
            start += len(data)
        return gathered

    def _reserve(self, needed: int) -> None:
        """Compact the live records, into a larger buffer if `needed` exceeds half of this one."""
        size = len(self._data)
        if 2 * needed > size:
            doubled = max(2 * size, 2 * needed)
            size = max(needed, min(doubled, 2 * self.capacity))
        target = self._data
        if size != len(self._data):
            target = torch.empty(size, dtype=torch.uint8)
        self._compact(target.numpy())
        self._data = target
        self._bytes = target.numpy()

    def _compact(self, target: NDArray[np.uint8]) -> None:
        """Move the live records to the start of `target`, which may be the buffer itself.

        Their order stays, and every run of records without a gap is copied at once.
        """
        if len(self.slots) == 0:
            self._tail = 0
            return
        offsets = self.slots.column("offset")
        order = np.argsort(offsets, kind="stable")
        starts = offsets[order]
        lengths = self.slots.column("length")[order]
        ends = starts + lengths
        moved = np.cumsum(lengths) - lengths  # new offsets
        after_gap = np.ones(len(starts), bool)
        after_gap[1:] = starts[1:] != ends[:-1]
        first = np.flatnonzero(after_gap)  # first record of each run
        last = np.append(first[1:], len(starts)) - 1  # last record of each run
        runs = zip(moved[first].tolist(), starts[first].tolist(), ends[last].tolist(), strict=True)
        for to, start, end in runs:
            target[to : to + end - start] = self._bytes[start:end]
        offsets[order] = moved
        self._tail = self.slots.record_bytes
