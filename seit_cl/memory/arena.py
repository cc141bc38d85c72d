"""A log-structured buffer of records: the bytes of the memory while it is in use."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from seit_cl.formats._records import Records

_SMALLEST = 1 << 12  # bytes of the first working buffer
_SLOTS = 64  # slots of the first per-slot columns


class Arena:
    """Records in dense slots 0..N-1, of equal or unequal length.

    New records go to the tail. A removed record leaves a gap, and the last slot takes its slot number. When the tail
    reaches the end of the working buffer, the live records move together; the buffer doubles first where more than half
    of it is live, up to twice the capacity. A record costs amortised O(1), and a memory that holds little takes little.

    Args:
        capacity_bytes: the most bytes of records that are live at once.
    """

    def __init__(self, capacity_bytes: int) -> None:
        self.capacity = capacity_bytes
        self.live_bytes = 0
        self._count = 0
        self._tail = 0
        self._data = torch.empty(min(_SMALLEST, max(1, 2 * capacity_bytes)), dtype=torch.uint8)
        self._raw: NDArray[np.uint8] = self._data.numpy()
        self._columns: dict[str, NDArray[np.generic]] = {}
        for name in ("offset", "length", "label"):
            self.add_column(name, np.dtype(np.int64), ())

    def __len__(self) -> int:
        return self._count

    @property
    def working_bytes(self) -> int:
        """Bytes of main memory held: the buffer and the columns."""
        return len(self._data) + sum(column.nbytes for column in self._columns.values())

    def add_column(self, name: str, dtype: np.dtype[np.generic], shape: tuple[int, ...]) -> None:
        """Add zeroed values of one dtype and shape per slot; they follow their record from slot to slot."""
        rows = max(_SLOTS, self._count)
        if self._columns:
            rows = len(next(iter(self._columns.values())))
        self._columns[name] = np.zeros((rows, *shape), dtype)

    def has_column(self, name: str) -> bool:
        """Whether there is such a column."""
        return name in self._columns

    def column(self, name: str) -> NDArray[np.generic]:
        """The column's values (N, *shape): a view to read and write, valid until the next append."""
        return self._columns[name][: self._count]

    def append(
        self,
        record: NDArray[np.uint8],
        label: int,
        extras: Mapping[str, NDArray[np.generic]] | None = None,
    ) -> int:
        """Store one record (L,) uint8 with its label and values of other columns, and return its slot.

        Raises:
            ValueError: live records would exceed the capacity.
        """
        length = len(record)
        if self.live_bytes + length > self.capacity:
            raise ValueError(
                f"{self.live_bytes} + {length} bytes exceed the arena's {self.capacity}"
            )
        if self._tail + length > len(self._data):
            self._make_room(length)
        slot = self._count
        if slot == len(self._columns["offset"]):
            self._columns = {
                k: np.concatenate([v, np.zeros_like(v)]) for k, v in self._columns.items()
            }
        self._raw[self._tail : self._tail + length] = record
        columns = self._columns
        columns["offset"][slot] = self._tail
        columns["length"][slot] = length
        columns["label"][slot] = label
        for name, value in (extras or {}).items():
            columns[name][slot] = value
        self._tail += length
        self.live_bytes += length
        self._count += 1
        return slot

    def remove(self, slot: int) -> None:
        """Forget a record; the last slot's record, labels and columns take its slot number.

        Raises:
            IndexError: there is no such slot.
        """
        if not 0 <= slot < self._count:
            raise IndexError(f"slot {slot} of {self._count}")
        last = self._count - 1
        self.live_bytes -= int(self._columns["length"][slot])
        for column in self._columns.values():
            column[slot] = column[last]
            column[last] = 0
        self._count = last

    def records(self, slots: NDArray[np.int64]) -> Records:
        """The records of slots (B,), without a copy of their bytes; valid until the next append."""
        offsets, lengths = self._columns["offset"][slots], self._columns["length"][slots]
        return Records(self._data, torch.from_numpy(offsets), torch.from_numpy(lengths))

    def gather(self, slots: NDArray[np.int64]) -> bytes:
        """The records' bytes of slots (B,), one after the other."""
        return b"".join(self.records(slots).to_bytes())

    def _make_room(self, length: int) -> None:
        """Compact, into a larger buffer where more than half of this one is live."""
        needed = self.live_bytes + length
        size = len(self._data)
        if 2 * needed > size:
            size = max(needed, min(max(2 * size, 2 * needed), 2 * self.capacity))
        target = self._data if size == len(self._data) else torch.empty(size, dtype=torch.uint8)
        self._compact(target.numpy())
        self._data, self._raw = target, target.numpy()

    def _compact(self, target: NDArray[np.uint8]) -> None:
        """Move the live records to the start of target, in the order they lie in; target may be the buffer itself."""
        offsets, lengths = self.column("offset"), self.column("length")
        order = np.argsort(offsets, kind="stable")
        starts, sizes = offsets[order].astype(np.int64), lengths[order].astype(np.int64)
        ends = starts + sizes
        placed = np.cumsum(sizes) - sizes
        first = (
            np.flatnonzero(np.r_[True, starts[1:] != ends[:-1]])
            if len(starts)
            else np.zeros(0, np.int64)
        )
        last = np.r_[first[1:], len(starts)] - 1 if len(starts) else first
        runs = zip(placed[first].tolist(), starts[first].tolist(), ends[last].tolist(), strict=True)
        for to, start, end in runs:
            target[to : to + end - start] = self._raw[start:end]
        offsets[order] = placed
        self._tail = self.live_bytes
