"""The slot table: the state of every exemplar, in groups whose order is that of the file."""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np
from numpy.typing import NDArray

_INITIAL_ROWS = 64  # rows allocated for an empty table
_INTEGERS = ("label", "offset", "length", "cost", "place")


class SlotTable:
    """One row per exemplar, in slots 0..N-1, and the groups that the exemplars belong to.

    Every row has five integers: the label, the offset and the length of the record in the arena,
    the cost (bytes of the exemplar in the file) and the place in its group. Further columns hold
    what other objects need per exemplar. Removing a row moves the last row into its slot, and the
    last member of its group into its place; both cost O(1).

    The canonical order, which is that of the memory's file, is group by group and, in a group, by
    place.

    Args:
        classes: number of classes C.
        by_class: True for a group per class, False for one group of all exemplars.

    Attributes:
        groups: slots of each group's exemplars, by place.
        group_bytes: (groups,) int64, summed cost of each group.
        group_counts: (groups,) int64, exemplars of each group.
        total_cost: summed cost of all exemplars in bytes.
        record_bytes: summed length of all records in bytes.
        changes: number of rows appended or removed so far.
    """

    def __init__(self, classes: int, by_class: bool) -> None:
        count = classes if by_class else 1
        self.by_class = by_class
        self.groups = [array("q") for _ in range(count)]
        self.group_bytes = np.zeros(count, np.int64)
        self.group_counts = np.zeros(count, np.int64)
        self.total_cost = 0
        self.record_bytes = 0
        self.changes = 0
        self._count = 0
        self._rows = _INITIAL_ROWS
        self._columns: dict[str, NDArray[np.generic]] = {}
        for name in _INTEGERS:
            self._columns[name] = np.zeros(self._rows, np.int64)
        self._refresh()

    def __len__(self) -> int:
        return self._count

    @property
    def file_bytes(self) -> int:
        """Bytes that all exemplars take in the file."""
        return self.total_cost

    @property
    def nbytes(self) -> int:
        """Bytes of main memory that the table occupies."""
        columns = sum(column.nbytes for column in self._columns.values())
        return columns + sum(len(group) * group.itemsize for group in self.groups)

    def add_column(self, name: str, dtype: np.dtype[np.generic], shape: tuple[int, ...]) -> None:
        """Add a column of zeros with values of one dtype and shape; new rows are zero as well."""
        self._columns[name] = np.zeros((self._rows, *shape), dtype)
        self._refresh()

    def has_column(self, name: str) -> bool:
        """Return True if the table has a column of this name."""
        return name in self._columns

    def column(self, name: str) -> NDArray[Any]:
        """Return the values (N, *shape) of a column: a view, valid until the next append."""
        return self._columns[name][: self._count]

    def append(self, label: int, offset: int, length: int, cost: int) -> int:
        """Add the row of an exemplar as the last member of its group, and return its slot."""
        slot = self._count
        if slot == self._rows:
            self._grow()
        group = label if self.by_class else 0
        members = self.groups[group]
        self._labels[slot] = label
        self._offsets[slot] = offset
        self._lengths[slot] = length
        self._costs[slot] = cost
        self._places[slot] = len(members)
        members.append(slot)
        self.group_bytes[group] += cost
        self.group_counts[group] += 1
        self.total_cost += cost
        self.record_bytes += length
        self.changes += 1
        self._count += 1
        return slot

    def cost(self, slot: int) -> int:
        """Return the bytes that the exemplar of a slot takes in the file."""
        return int(self._costs[slot])

    def set(self, slot: int, name: str, value: NDArray[np.generic]) -> None:
        """Set the value (*shape) of an added column in one row."""
        self._columns[name][slot] = value

    def set_length(self, slot: int, length: int) -> None:
        """Set the length of the record of a slot, which was cut."""
        self.record_bytes += length - self._lengths[slot]
        self._lengths[slot] = length

    def group_of(self, slot: int) -> int:
        """Return the group of the exemplar of a slot."""
        return int(self._labels[slot]) if self.by_class else 0

    def remove(self, slot: int) -> None:
        """Remove a row; the last row takes its slot, and its group's last member its place.

        Raises:
            IndexError: a slot outside 0..N-1.
        """
        self._check(slot)
        cost = self._costs[slot]
        group = self._labels[slot] if self.by_class else 0
        members = self.groups[group]
        place = self._places[slot]
        successor = members[-1]
        members[place] = successor
        self._places[successor] = place
        members.pop()
        self.group_bytes[group] -= cost
        self.group_counts[group] -= 1
        self.total_cost -= cost
        self.record_bytes -= self._lengths[slot]
        self.changes += 1
        self._move_last_row(slot)

    def order(self) -> NDArray[np.int64]:
        """Return all slots (N,) in canonical order."""
        return np.concatenate([np.array(group, np.int64) for group in self.groups])

    def at(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the slots (B,) at positions (B,) of the canonical order."""
        if 8 * len(positions) >= self._count:
            return self.order()[positions]
        # For few positions: find the group of each, without building the whole order.
        sizes = np.fromiter(map(len, self.groups), np.int64, len(self.groups))
        ends = np.cumsum(sizes)
        groups = np.searchsorted(ends, positions, side="right")
        places = positions - (ends - sizes)[groups]
        pairs = zip(groups.tolist(), places.tolist(), strict=True)
        slots = [self.groups[group][place] for group, place in pairs]
        return np.array(slots, np.int64)

    def _check(self, slot: int) -> None:
        """Refuse a slot that has no exemplar.

        Raises:
            IndexError: a slot outside 0..N-1.
        """
        if not 0 <= slot < self._count:
            raise IndexError(f"slot {slot} of {self._count} exemplars")

    def _move_last_row(self, slot: int) -> None:
        """Move the last row to `slot`, and clear the columns that other objects added."""
        last = self._count - 1
        if slot != last:
            for integers in self._integers:
                integers[slot] = integers[last]
            group = self._labels[slot] if self.by_class else 0
            self.groups[group][self._places[slot]] = slot
        for column in self._added:
            column[slot] = column[last]
            column[last] = 0
        self._count = last

    def _grow(self) -> None:
        """Double the number of allocated rows."""
        self._rows *= 2
        for name, column in self._columns.items():
            self._columns[name] = np.concatenate([column, np.zeros_like(column)])
        self._refresh()

    def _refresh(self) -> None:
        """Renew the references to columns, after any of them was added or reallocated."""
        # Reading or writing one integer through a memoryview is several times faster than numpy.
        self._integers = [self._columns[name].data for name in _INTEGERS]
        self._labels, self._offsets, self._lengths, self._costs, self._places = self._integers
        self._added = [column for name, column in self._columns.items() if name not in _INTEGERS]
