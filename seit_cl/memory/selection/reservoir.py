"""reservoir: every sample of the stream with the same probability, whatever its class."""

from __future__ import annotations

from seit_cl.memory.selection.base import SelectionPolicy


class Reservoir(SelectionPolicy):
    """Reservoir sampling in bytes.

    A sample of a full memory is accepted with probability n / m, where n exemplars are stored of m
    samples that could have been, and replaces random exemplars.
    """

    paper = "Vitter, Random Sampling with a Reservoir, ACM TOMS 1985"

    def decide(self, label: int, cost: int, capacity: int) -> bool:
        """Accept a sample with probability n / m."""
        seen = self.offered - self.skipped
        if self.words.below(seen) >= len(self.slots):
            return False
        while not self.has_room(cost, capacity):
            self.evict(0)
        return True

    def group_to_shrink(self) -> int:
        """Return the only group."""
        return 0


POLICY = Reservoir
