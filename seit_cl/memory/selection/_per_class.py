"""Policies that treat every class on its own: class-balanced ones and herding."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
from numpy.typing import NDArray

from seit_cl.memory.selection.base import PolicyContext, SelectionPolicy

_FULL = 1 << 31  # flag of a full class in its counter


class PerClassPolicy(SelectionPolicy):
    """Groups of exemplars by class, counts of samples by class, and the full classes.

    A class is full once it is or has been the largest one, ties included.
    """

    by_class = True

    def __init__(self, context: PolicyContext) -> None:
        super().__init__(context)
        self.seen_per_class = [0] * context.classes
        self.class_full = np.zeros(context.classes, bool)
        self._largest = 0
        self._changes = -1  # of the slot table, when the largest class was computed

    def sizes(self) -> NDArray[np.int64]:
        """Return the sizes (C,) by which classes are compared: their bytes."""
        return self.slots.group_bytes

    def largest(self) -> int:
        """Return the largest class, of several the one with the smallest label."""
        if self._changes != self.slots.changes:
            sizes = self.sizes()
            self._largest = int(sizes.argmax())
            self.class_full |= sizes == sizes[self._largest]
            self._changes = self.slots.changes
        return self._largest

    def count_sample(self, label: int) -> None:
        """Count a sample of its class."""
        self.seen_per_class[label] += 1

    def group_to_shrink(self) -> int:
        """Return the largest class."""
        return self.largest()

    def counters(self) -> NDArray[np.uint32]:
        """Return samples seen (C,), with the highest bit set for classes that have been full."""
        seen = np.array(self.seen_per_class, np.uint32)
        return np.where(self.class_full, seen | np.uint32(_FULL), seen)

    def restore_counters(self, counters: NDArray[np.uint32]) -> None:
        """Take over samples seen, and which classes have been full, from `counters` (C,)."""
        self.seen_per_class = (counters & np.uint32(_FULL - 1)).tolist()
        self.class_full = (counters & np.uint32(_FULL)) > 0


class ClassBalancingPolicy(PerClassPolicy):
    """Class-balancing reservoir sampling (Chrysakis and Moens, ICML 2020), in bytes.

    A sample of a full class is accepted with probability n / m, where the class has n exemplars of
    m samples seen, and replaces random exemplars of its own class. A sample of another class is
    always accepted, and replaces random exemplars of the largest class, which is determined again
    after every removal.
    """

    @abstractmethod
    def sizes(self) -> NDArray[np.int64]:
        """Return the sizes (C,) that are balanced."""

    def decide(self, label: int, cost: int, capacity: int) -> bool:
        """Accept a sample of a class that was never full, and of another one with n / m."""
        self.largest()
        if self.class_full[label]:
            own = self.slots.groups[label]
            if self.words.below(self.seen_per_class[label]) >= len(own):
                return False
            while own and not self.has_room(cost, capacity):
                self.evict(label)
        while not self.has_room(cost, capacity):
            self.shrink_by_one()
        return True
