"""Cuts of exemplars to fewer levels, where a memory would otherwise have to remove some."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from seit_cl.core.errors import UserError
from seit_cl.formats import ExemplarFormat
from seit_cl.formats.base import LevelledFormat
from seit_cl.memory.file import FileExemplars
from seit_cl.memory.levelled_slots import LevelledSlots
from seit_cl.memory.store import ExemplarStore


def levelled_format(fmt: ExemplarFormat, policy: str, min_levels: int) -> LevelledFormat:
    """Return a format as one whose records can be cut.

    Args:
        fmt: of a memory.
        policy: its policy, for messages.
        min_levels: levels below which no exemplar is cut.

    Raises:
        UserError: its records cannot be cut, or have fewer levels.
    """
    if not isinstance(fmt, LevelledFormat) or fmt.levels == 1:
        raise UserError(
            f"--policy {policy}: records of {fmt.spec} here cannot be cut to fewer levels; use "
            "--format tokens and a tokenizer with several levels (tokenize train --levels), or "
            "leave degrade=levels out"
        )
    if min_levels > fmt.levels:
        raise UserError(
            f"--policy {policy}: records have {fmt.levels} levels; give min_levels from 1 to "
            f"{fmt.levels}"
        )
    return fmt


class Levelling:
    """The levels of a memory's exemplars.

    The policy chooses the exemplars by their costs at `min_levels`. What is left of the budget goes
    to further levels: while all does not fit, the group that takes most bytes, among those that can
    be cut, loses a level of the exemplar that has most, the first of these in the order of the
    file. A sample that comes in is the last of its group and is cut by the same rule. So decisions
    depend on nothing but the exemplars in the order of the file.

    Args:
        fmt: cuts records.
        store: has the exemplars, in a LevelledSlots.
        exemplar_bytes: from the length of a record to the bytes of its exemplar in the file.
        min_levels: levels below which no exemplar is cut.
    """

    def __init__(
        self,
        fmt: LevelledFormat,
        store: ExemplarStore,
        exemplar_bytes: Callable[[int], int],
        min_levels: int,
    ) -> None:
        self.fmt = fmt
        self.store = store
        assert isinstance(store.slots, LevelledSlots)
        self.slots = store.slots
        self.exemplar_bytes = exemplar_bytes
        self.min_levels = min_levels

    @property
    def has_cut(self) -> bool:
        """True if an exemplar has fewer levels than a whole record."""
        return self.counts()[self.fmt.levels] < len(self.slots)

    def counts(self) -> dict[int, int]:
        """Count the exemplars of 1, 2, ... levels."""
        return self.slots.counts_by_levels()

    def cost(self, record: NDArray[np.uint8]) -> int:
        """Bytes of the exemplar of a record (n,) at the fewest levels that are allowed.

        Raises:
            ValueError: no record of the format, or one of fewer levels.
        """
        ends = self.fmt.level_ends(record)
        if len(ends) < self.min_levels:
            raise ValueError(f"a record of {len(ends)} levels, and min_levels={self.min_levels}")
        return self.exemplar_bytes(ends[self.min_levels - 1])

    def append(
        self,
        record: NDArray[np.uint8],
        label: int,
        cost: int,
        fields: Mapping[str, NDArray[np.generic]],
        capacity: int,
    ) -> None:
        """Store an exemplar that the policy has accepted, with the levels that it can keep.

        Args:
            record: (n,) uint8.
            label: its class.
            cost: as `cost` returns it.
            fields: value (*shape) of every field.
            capacity: bytes that all exemplars together may take.
        """
        ends = self.fmt.level_ends(record)
        levels = self._make_room(label if self.slots.by_class else 0, ends, capacity)
        if levels < len(ends):
            record = self.fmt.cut(record, levels)
        self._store(record, label, cost, fields, levels)

    def fill(self, exemplars: FileExemplars) -> None:
        """Store the exemplars of a file.

        Raises:
            ValueError: the records exceed the capacity, or are none of the format.
        """
        for record, label, fields in exemplars.each():
            levels = len(self.fmt.level_ends(record))
            self._store(record, label, self.cost(record), fields, levels)

    def shrink(self, capacity: int) -> None:
        """Cut exemplars until they take at most `capacity` bytes, which they do at their costs."""
        while self.slots.file_bytes > capacity:
            sizes = self.slots.group_bytes + self.slots.group_excess
            group = int(np.where(self.slots.group_excess > 0, sizes, -1).argmax())
            self._cut(self.slots.first_with_most_levels(group))

    def _store(
        self,
        record: NDArray[np.uint8],
        label: int,
        cost: int,
        fields: Mapping[str, NDArray[np.generic]],
        levels: int,
    ) -> None:
        """Store a record of a number of levels."""
        slot = self.store.append(record, label, cost, fields)
        self.slots.set_levels(slot, levels, self.exemplar_bytes(len(record)) - cost)

    def _make_room(self, own: int, ends: Sequence[int], capacity: int) -> int:
        """Cut exemplars until another one fits.

        Args:
            own: its group.
            ends: bytes of its record by levels.
            capacity: bytes that all exemplars together may take.

        Returns:
            The levels that it keeps.
        """
        slots = self.slots
        levels = len(ends)
        size = self.exemplar_bytes(ends[-1])
        while slots.file_bytes + size > capacity:
            others_can_be_cut = slots.total_excess > 0
            group = self._largest_group(own, size, levels) if others_can_be_cut else own
            if group == own and levels > slots.most_levels(own):
                levels -= 1
                size = self.exemplar_bytes(ends[levels - 1])
            else:
                self._cut(slots.first_with_most_levels(group))
        return levels

    def _largest_group(self, own: int, size: int, levels: int) -> int:
        """Return the group with most bytes of those that can be cut, with a further exemplar.

        Args:
            own: group of that exemplar.
            size: its bytes.
            levels: its levels.
        """
        sizes = self.slots.group_bytes + self.slots.group_excess
        sizes[own] += size
        can_be_cut = self.slots.group_excess > 0
        can_be_cut[own] |= levels > self.min_levels
        return int(np.where(can_be_cut, sizes, -1).argmax())

    def _cut(self, slot: int) -> None:
        """Cut the exemplar of a slot by one level."""
        levels = self.slots.levels_of(slot) - 1
        record = self.fmt.cut(self.store.arena.record(slot), levels)
        self.store.arena.replace(slot, record)
        self.store.decoded.forget(slot)
        self.slots.set_levels(
            slot, levels, self.exemplar_bytes(len(record)) - self.slots.cost(slot)
        )
