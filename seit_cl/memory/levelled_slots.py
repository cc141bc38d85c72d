"""The slot table of a memory whose exemplars can be cut to fewer levels."""

from __future__ import annotations

import heapq

import numpy as np

from seit_cl.memory.slots import SlotTable

_STALE = 4  # entries of a heap for each member of its group, above which it is built anew
_FEW = 64  # entries that no heap is built anew for


class LevelledSlots(SlotTable):
    """A slot table in which the cost of an exemplar is that of its fewest levels.

    Policies compare and sum costs, so that they choose exemplars as if all were cut as far as is
    allowed. What an exemplar takes beyond its cost is its excess, in a column beside its number of
    levels.

    Args:
        classes: number of classes C.
        by_class: True for a group per class, False for one group of all exemplars.
        levels: most levels L of an exemplar.

    Attributes:
        group_excess: (groups,) int64, summed excess of each group.
        total_excess: summed excess of all exemplars in bytes.
    """

    def __init__(self, classes: int, by_class: bool, levels: int) -> None:
        super().__init__(classes, by_class)
        groups = len(self.groups)
        self.group_excess = np.zeros(groups, np.int64)
        self.total_excess = 0
        # Exemplars of each group by number of levels; lists, since single numbers are read.
        self._counts = [[0] * (levels + 1) for _ in range(groups)]
        # Places of a group's members of a number of levels, and places that had one before.
        self._heaps: dict[tuple[int, int], list[int]] = {}
        self.add_column("levels", np.dtype(np.int64), ())
        self.add_column("excess", np.dtype(np.int64), ())

    @property
    def file_bytes(self) -> int:
        """Bytes of all exemplars in the file, with the levels beyond their costs."""
        return self.total_cost + self.total_excess

    def levels_of(self, slot: int) -> int:
        """Return the number of levels of the exemplar of a slot."""
        return int(self.column("levels")[slot])

    def counts_by_levels(self) -> dict[int, int]:
        """Count the exemplars of 1, 2, ... levels."""
        totals = np.sum(self._counts, axis=0).tolist()
        return dict(enumerate(totals[1:], 1))

    def set_levels(self, slot: int, levels: int, excess: int) -> None:
        """Set the levels of an exemplar that was appended or cut.

        Args:
            slot: of the exemplar.
            levels: that it has.
            excess: bytes that it takes beyond its cost.
        """
        group = self.group_of(slot)
        before = self.levels_of(slot)
        if before:  # not just appended
            self._counts[group][before] -= 1
        self._counts[group][levels] += 1
        self._add_excess(group, excess - int(self.column("excess")[slot]))
        self.column("levels")[slot] = levels
        self.column("excess")[slot] = excess
        self._note_place(group, self._places[slot])

    def remove(self, slot: int) -> None:
        """Remove the exemplar of a slot, with all its levels."""
        self._check(slot)
        group = self.group_of(slot)
        place = self._places[slot]
        self._counts[group][self.levels_of(slot)] -= 1
        self._add_excess(group, -int(self.column("excess")[slot]))
        super().remove(slot)
        if place < len(self.groups[group]):
            self._note_place(group, place)

    def most_levels(self, group: int) -> int:
        """Return the most levels that an exemplar of a group has; 0 for an empty group."""
        counts = self._counts[group]
        levels = len(counts) - 1
        while levels and not counts[levels]:
            levels -= 1
        return levels

    def first_with_most_levels(self, group: int) -> int:
        """Return the slot of the first exemplar of a group, by place, that has most levels.

        It costs O(log N) on average: places are found in a heap, which members enter when they get
        their place or their levels, and which places leave that are no longer right.
        """
        levels = self.most_levels(group)
        members = self.groups[group]
        heap = self._heaps.get((group, levels))
        if heap is None:
            slots = np.array(members, np.int64)
            heap = np.flatnonzero(self.column("levels")[slots] == levels).tolist()
            self._heaps[group, levels] = heap
        while heap[0] >= len(members) or self.levels_of(members[heap[0]]) != levels:
            heapq.heappop(heap)
        return members[heap[0]]

    def _add_excess(self, group: int, excess: int) -> None:
        self.group_excess[group] += excess
        self.total_excess += excess

    def _note_place(self, group: int, place: int) -> None:
        """Enter the member at a place of a group into the heap of its levels, if there is one."""
        members = self.groups[group]
        key = (group, self.levels_of(members[place]))
        heap = self._heaps.get(key)
        if heap is None:
            return
        heapq.heappush(heap, place)
        if len(heap) > _STALE * len(members) + _FEW:
            del self._heaps[key]
