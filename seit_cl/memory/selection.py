"""Which samples enter a full memory and which exemplars leave it, counted in bytes.

While everything fits, everything is stored; the first sample that does not fit makes the memory full for good (as in
CIM, Luo et al., CVPR 2023). From then on whether a sample is accepted never depends on its own record's length, so that
short records do not collect in leftover gaps. Only a record longer than the whole budget is passed over.

Decisions are functions of (seed, samples offered so far, exemplars in canonical order) alone: every random word comes
from a Philox counter, and the canonical order is that of the memory's file. A memory read back continues identically.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

_FULL = 1 << 31
_WORDS = 4  # random words drawn ahead for each sample


class SelectionPolicy:
    """Base of the policies: groups of slots, their bytes, the counters and the random words.

    Args:
        classes: number of classes C.
        seed: key of the random words.
        evict: called with the slot of every exemplar that leaves; it must let the last slot take that slot number.
    """

    grouped = False  # whether exemplars are kept in one group per class
    best_first = (
        False  # whether an experience is to be offered in the order of `seit_cl.memory.herding`
    )

    def __init__(self, classes: int, seed: int, evict: Callable[[int], None]) -> None:
        self.classes, self.seed, self.evict = classes, seed, evict
        self.offered = 0
        self.skipped = 0
        self.used = 0
        self.full = False
        count = classes if self.grouped else 1
        self.groups = [array("q") for _ in range(count)]
        self.bytes = np.zeros(count, np.int64)
        self.counts = np.zeros(count, np.int64)
        self._top = -1  # the largest group, where it is known
        self._group, self._cost, self._place = array("q"), array("q"), array("q")
        self._ahead: list[int] = []
        self._ahead_from = 0
        self._words: list[int] = []
        self._spill: np.random.Philox | None = None
        self._spill_stream = 1

    def __len__(self) -> int:
        return len(self._cost)

    @property
    def seen(self) -> int:
        """Samples offered so far that could have been stored."""
        return self.offered - self.skipped

    def begin(self, count: int) -> None:
        """Draw random words ahead for the next `count` samples; the words do not depend on how samples are batched."""
        self._ahead = (
            np.random.Philox(key=self.seed, counter=self.offered)
            .random_raw(_WORDS * count)
            .tolist()
        )
        self._ahead_from = self.offered

    def admit(self, label: int, cost: int, room: int) -> bool:
        """Decide on the next sample and evict for it. Where it is accepted, `add` must follow.

        Args:
            label: its class, 0..C-1.
            cost: bytes it takes: record, label, length, extras.
            room: bytes that exemplars may take together.
        """
        self.offered += 1
        if cost > room:
            self.skipped += 1
            return False
        self._count(label)
        if not self.full:
            if self.used + cost <= room:
                return True
            self.full = True
        index = (self.offered - 1 - self._ahead_from) * _WORDS
        self._words = self._ahead[index : index + _WORDS][::-1]
        self._start_spill(1)
        return self._decide(label, cost, room)

    def add(self, slot: int, label: int, cost: int) -> None:
        """Note a stored exemplar; its slot is the number of exemplars before it."""
        group = label if self.grouped else 0
        self._group.append(group)
        self._cost.append(cost)
        self._place.append(len(self.groups[group]))
        self.groups[group].append(slot)
        self.bytes[group] += cost
        self.counts[group] += 1
        self.used += cost
        self._top = -1

    def shrink(self, room: int) -> None:
        """Evict by the policy until exemplars take at most `room` bytes; where any left, the memory counts as full."""
        if self.used > room:
            self.full = True
        self._words = []
        self._start_spill(2)
        while self.used > room:
            self._evict(self._group_to_shrink())

    def order(self) -> NDArray[np.int64]:
        """All slots (N,) in canonical order: group by group, in each group's own order."""
        return np.concatenate([np.array(group, np.int64) for group in self.groups])

    def slots(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """Slots (B,) at places (B,) of the canonical order, without building all of it."""
        ends = np.cumsum(np.fromiter(map(len, self.groups), np.int64, len(self.groups)))
        group = np.searchsorted(ends, places, side="right")
        start = np.concatenate([[0], ends])[group]
        pairs = zip(group.tolist(), (places - start).tolist(), strict=True)
        return np.fromiter((self.groups[g][p] for g, p in pairs), np.int64, len(places))

    def state(self) -> NDArray[np.uint32]:
        """The per-class counters to save: (C,) uint32, or (0,) where the policy has none."""
        return np.zeros(0, np.uint32)

    def restore(
        self, state: NDArray[np.uint32], labels: Sequence[int], costs: Sequence[int]
    ) -> None:
        """Take over saved counters, and exemplars in canonical order (slots 0..N-1)."""
        for slot, (label, cost) in enumerate(zip(labels, costs, strict=True)):
            self.add(slot, label, cost)

    def _count(self, label: int) -> None:
        """Note that a storable sample of the class was seen."""

    def _decide(self, label: int, cost: int, room: int) -> bool:
        """Accept or not, once the memory is full; evict until an accepted sample fits."""
        raise NotImplementedError

    def _group_to_shrink(self) -> int:
        """The group that loses the next exemplar when no sample asks for room."""
        raise NotImplementedError

    def _start_spill(self, stream: int) -> None:
        """Choose the stream of words for when those drawn ahead run out: 1 for samples, 2 for shrinking."""
        self._spill_stream = stream
        self._spill = None

    def _below(self, bound: int) -> int:
        """A uniform integer in 0..bound-1."""
        if not self._words:
            if self._spill is None:
                key = self.seed + (self._spill_stream << 64)
                self._spill = np.random.Philox(key=key, counter=self.offered << 64)
            self._words = self._spill.random_raw(64).tolist()[::-1]
        return (self._words.pop() * bound) >> 64

    def _evict(self, group: int) -> None:
        """Evict an exemplar of the group: uniformly at random, where a policy does not choose otherwise."""
        self._evict_at(group, self._below(len(self.groups[group])))

    def _evict_at(self, group: int, place: int) -> None:
        """Evict the exemplar at a place of the group; the last one takes its place."""
        members = self.groups[group]
        slot, moved = members[place], members[-1]
        members[place] = moved
        self._place[moved] = place
        members.pop()
        cost = self._cost[slot]
        self.bytes[group] -= cost
        self.counts[group] -= 1
        self.used -= cost
        self._top = -1
        last = len(self._cost) - 1
        for column in (self._group, self._cost, self._place):
            column[slot] = column[last]
            column.pop()
        if slot != last:
            self.groups[self._group[slot]][self._place[slot]] = slot
        self.evict(slot)


class ClassBalanced(SelectionPolicy):
    """Class-balancing reservoir sampling (Chrysakis and Moens, ICML 2020), with bytes in the place of counts.

    A class is full once it is or has been the largest by bytes, ties included. A sample of a full class is
    accepted with probability kept / seen of its class and replaces random exemplars of its own; one of another class is
    always accepted and replaces random exemplars of the largest class (ties: the smaller label), found
    anew after each eviction.
    """

    grouped = True

    def __init__(self, classes: int, seed: int, evict: Callable[[int], None]) -> None:
        super().__init__(classes, seed, evict)
        self.seen_per_class = [0] * classes
        self.class_full = np.zeros(classes, bool)

    def state(self) -> NDArray[np.uint32]:
        pairs = zip(self.seen_per_class, self.class_full, strict=True)
        return np.array([seen | (_FULL if full else 0) for seen, full in pairs], np.uint32)

    def restore(
        self, state: NDArray[np.uint32], labels: Sequence[int], costs: Sequence[int]
    ) -> None:
        super().restore(state, labels, costs)
        self.seen_per_class = [int(value) & (_FULL - 1) for value in state]
        self.class_full = (state & np.uint32(_FULL)) > 0

    def _count(self, label: int) -> None:
        self.seen_per_class[label] += 1

    def _decide(self, label: int, cost: int, room: int) -> bool:
        self._largest()
        own = self.groups[label]
        if self.class_full[label]:
            if self._below(self.seen_per_class[label]) >= len(own):
                return False
            while own and self.used + cost > room:
                self._evict(label)
        while self.used + cost > room:
            self._evict(self._largest())
        return True

    def _largest(self) -> int:
        """The largest class, ties to the smaller label; every class as large as it is full from now on."""
        if self._top < 0:
            sizes = self._sizes()
            self._top = int(sizes.argmax())
            self.class_full |= sizes == sizes[self._top]
        return self._top

    def _sizes(self) -> NDArray[np.int64]:
        """What makes a class large (C,): its bytes."""
        return self.bytes

    def _group_to_shrink(self) -> int:
        return self._largest()


class ClassBalancedCount(ClassBalanced):
    """The same with a class as large as its exemplars are many, as in the paper: classes of long records take more bytes."""

    def _sizes(self) -> NDArray[np.int64]:
        return self.counts


class Herding(ClassBalanced):
    """Herding (Rebuffi et al., iCaRL, CVPR 2017) that stops when the bytes do: every class keeps the first of its ranking.

    Samples are to be offered best first (`seit_cl.memory.herding`). A class that is or has been the largest by bytes
    takes no more; another one takes its next sample, and the largest classes give up their last for it.
    A class's order in the file is its ranking.
    """

    best_first = True

    def _decide(self, label: int, cost: int, room: int) -> bool:
        self._largest()
        if self.class_full[label] or self.bytes[label] + cost > room:
            self.class_full[label] = (
                True  # for good: a shorter sample further down must not take the place
            )
            return False
        while self.used + cost > room:
            others = self._sizes().copy()
            others[label] = -1  # it never gives up an earlier one for a later
            self.class_full |= others == others.max()
            self._evict(int(others.argmax()))
        return True

    def _evict(self, group: int) -> None:
        self._evict_at(group, len(self.groups[group]) - 1)


class Reservoir(SelectionPolicy):
    """Reservoir sampling (Vitter, 1985) under bytes: accept with probability kept / seen, evict uniformly at random."""

    def _decide(self, label: int, cost: int, room: int) -> bool:
        if self._below(self.seen) >= len(self):
            return False
        while self.used + cost > room:
            self._evict(0)
        return True

    def _group_to_shrink(self) -> int:
        return 0


POLICIES: dict[str, type[SelectionPolicy]] = {
    "class-balanced": ClassBalanced,
    "class-balanced-count": ClassBalancedCount,
    "reservoir": Reservoir,
    "herding": Herding,
}
