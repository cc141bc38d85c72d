"""The contract of a selection policy: it decides which samples a full memory stores and removes.

While everything fits, everything is stored. The first sample that does not fit makes the memory
full, for the rest of its lifetime (as in CIM, Luo et al., CVPR 2023). From then on, the decision on
a sample never depends on the length of its own record; otherwise short records would collect in the
gaps that long ones leave. Only a record longer than the whole budget is skipped.

Where exemplars can be cut to fewer levels (`--policy NAME:degrade=levels`), `cost` is always that
of the fewest levels. A policy chooses exemplars as if all were cut; `seit_cl.memory.levelling`
spends the rest of the budget on levels.

Decisions depend on nothing but the seed, the number of samples offered so far and the exemplars in
canonical order, which is the order of the memory's file. A memory read from its file therefore
continues with the same decisions.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from seit_cl.core.specs import NoOptions
from seit_cl.memory.levelled_slots import LevelledSlots
from seit_cl.memory.selection._random_words import RandomWords
from seit_cl.memory.slots import SlotTable


@dataclass(frozen=True)
class PolicyContext:
    """Everything that a policy is built from beside its own options.

    Args:
        classes: number of classes C.
        seed: key of the random words, 0..2**64-1.
        max_exemplars: the most exemplars that the memory stores, whatever their bytes; 0: no limit.
        levels: the most levels of an exemplar, in a memory that cuts them; 0: exemplars are whole.
    """

    classes: int
    seed: int
    max_exemplars: int = 0
    levels: int = 0


class SelectionPolicy(ABC):
    """Base class of the policies.

    A subclass decides in `decide` and `group_to_shrink`, and may keep counters per class.

    Args:
        context: classes and seed.

    Attributes:
        paper: where the policy comes from.
        by_class: True if the slot table groups exemplars by class; False for a single group.
        best_first: True if the samples of an experience are to be offered in the order of
            `seit_cl.memory.herding.best_first`.
        slots: the exemplars of the memory; the memory appends to it, and the policy removes.
        offered: samples offered so far.
        skipped: samples whose record alone exceeded the capacity.
        full: True if a sample has ever not fitted.
        max_exemplars: as in the context.
    """

    Options: ClassVar[type[Any]] = NoOptions
    paper: ClassVar[str]
    by_class: ClassVar[bool] = False
    best_first: ClassVar[bool] = False

    def __init__(self, context: PolicyContext) -> None:
        self.slots = _slot_table(context, self.by_class)
        self.words = RandomWords(context.seed)
        self.offered = 0
        self.skipped = 0
        self.full = False
        self.max_exemplars = context.max_exemplars

    @classmethod
    def build(cls, options: Any, context: PolicyContext) -> Self:
        """Build the policy of a memory; a policy with options overrides this."""
        return cls(context)

    def begin(self, count: int) -> None:
        """Prepare for the next `count` samples; decisions do not depend on the batching."""
        self.words.prepare(self.offered, count)

    def admit(self, label: int, cost: int, capacity: int) -> bool:
        """Decide on the next sample, and remove exemplars until an accepted one fits.

        Args:
            label: its class, 0..C-1.
            cost: bytes that it takes in the file, with label, length and fields.
            capacity: bytes that all exemplars together may take.

        Returns:
            True if the memory has to store the sample.
        """
        self.offered += 1
        if cost > capacity:
            self.skipped += 1
            return False
        self.count_sample(label)
        if not self.full:
            if self.has_room(cost, capacity):
                return True
            self.full = True
        self.words.start_sample(self.offered)
        return self.decide(label, cost, capacity)

    def has_room(self, cost: int, capacity: int) -> bool:
        """True if an exemplar of `cost` bytes fits beside the others, by bytes and by number."""
        if self.max_exemplars and len(self.slots) >= self.max_exemplars:
            return False
        return self.slots.total_cost + cost <= capacity

    def shrink(self, capacity: int) -> None:
        """Remove exemplars until the others take at most `capacity` bytes."""
        if self.slots.total_cost <= capacity:
            return
        self.full = True
        self.words.start_shrink(self.offered)
        while self.slots.total_cost > capacity:
            self.shrink_by_one()

    def shrink_by_one(self) -> None:
        """Remove one exemplar of the group that `group_to_shrink` names."""
        self.evict(self.group_to_shrink())

    def evict(self, group: int) -> None:
        """Remove one exemplar of a group, by default uniformly at random."""
        members = self.slots.groups[group]
        self.slots.remove(members[self.words.below(len(members))])

    def count_sample(self, label: int) -> None:  # noqa: B027
        """Count a sample that could be stored; called before every decision."""

    @abstractmethod
    def decide(self, label: int, cost: int, capacity: int) -> bool:
        """Accept or refuse a sample of a full memory; see `admit`."""

    @abstractmethod
    def group_to_shrink(self) -> int:
        """Return the group that loses the next exemplar of a memory that shrinks."""

    def counters(self) -> NDArray[np.uint32]:
        """Return the counters that the file stores: (C,) uint32, or (0,) for a policy without."""
        return np.zeros(0, np.uint32)

    def restore_counters(self, counters: NDArray[np.uint32]) -> None:  # noqa: B027
        """Take over counters that were read from a file."""

    def restore(self, offered: int, skipped: int, full: bool, counters: NDArray[np.uint32]) -> None:
        """Take over the state that was read from a file; the slots are filled by the memory."""
        self.offered = offered
        self.skipped = skipped
        self.full = full
        self.restore_counters(counters)


def _slot_table(context: PolicyContext, by_class: bool) -> SlotTable:
    """Build the empty table of a memory's exemplars."""
    if context.levels:
        return LevelledSlots(context.classes, by_class, context.levels)
    return SlotTable(context.classes, by_class)
