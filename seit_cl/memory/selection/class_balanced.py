"""class-balanced: class-balancing reservoir sampling with equal bytes for every class."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from seit_cl.memory.selection._per_class import ClassBalancingPolicy

_WORD = 1 << 64  # number of random words


class ClassBalanced(ClassBalancingPolicy):
    """Balances the bytes of the classes, with ties to the smaller label.

    A long record makes its class larger, and so more likely to be the one that shrinks. Drawn
    uniformly from that class, the exemplars that stay would favour short records: by half of the
    difference in length, as a share of the class's bytes. So an exemplar of the largest class is
    removed with a probability proportional to the bytes of the others in its class.
    """

    paper = "Chrysakis and Moens, ICML 2020, with bytes in place of counts"

    def sizes(self) -> NDArray[np.int64]:
        """Return the bytes (C,) of the classes."""
        return self.slots.group_bytes

    def shrink_by_one(self) -> None:
        """Remove an exemplar of the largest class, drawn by the bytes of the others.

        Of n exemplars in S bytes, one of L bytes has the probability (S - L) / ((n - 1) S). One is
        drawn uniformly, and a second one, if it is shorter by D bytes, is removed in its place with
        probability D n / ((n - 1) S). All of it comes from one random word, and records of one
        length are removed as by `evict`.
        """
        slots = self.slots
        label = self.largest()
        members = slots.groups[label]
        count = len(members)
        place, word = divmod(self.words.below(_WORD) * count, _WORD)
        second_place, word = divmod(word * count, _WORD)
        removed = members[place]
        second = members[second_place]
        shorter_by = slots.cost(removed) - slots.cost(second)
        others_bytes = (count - 1) * int(slots.group_bytes[label])
        if shorter_by * count * _WORD > word * others_bytes:
            removed = second
        slots.remove(removed)


POLICY = ClassBalanced
