"""herding: the first samples of every class in iCaRL's ranking, as many as the bytes allow."""

from __future__ import annotations

from seit_cl.memory.selection._per_class import PerClassPolicy


class Herding(PerClassPolicy):
    """Stores the beginning of every class's ranking.

    Samples are to be offered best first (see `seit_cl.memory.herding`). A full class takes no more
    samples; another one takes its next sample, and the largest classes give up their last
    exemplars for it. The order of a class in the file is its ranking.
    """

    paper = "Rebuffi et al., iCaRL, CVPR 2017"
    best_first = True

    def decide(self, label: int, cost: int, capacity: int) -> bool:
        """Accept the next sample of a class that is not full; larger classes make room."""
        self.largest()
        if self.class_full[label] or not self._fits_alone(label, cost, capacity):
            # The class stays full: a shorter sample further down must not take the place.
            self.class_full[label] = True
            return False
        while not self.has_room(cost, capacity):
            others = self.sizes().copy()
            others[label] = -1  # the class never gives up an earlier exemplar for a later one
            self.class_full |= others == others.max()
            self.evict(int(others.argmax()))
        return True

    def _fits_alone(self, label: int, cost: int, capacity: int) -> bool:
        """True if the class and one more exemplar would fit into a memory without other classes."""
        if self.max_exemplars and self.slots.group_counts[label] >= self.max_exemplars:
            return False
        return bool(self.slots.group_bytes[label] + cost <= capacity)

    def evict(self, group: int) -> None:
        """Remove the last exemplar of a class's ranking."""
        self.slots.remove(self.slots.groups[group][-1])


POLICY = Herding
