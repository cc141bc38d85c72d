"""class-balanced-count: class-balancing reservoir sampling with equal counts for every class."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from seit_cl.memory.selection._per_class import ClassBalancingPolicy


class ClassBalancedCount(ClassBalancingPolicy):
    """Balances the number of exemplars, as in the paper; long records give a class more bytes."""

    paper = "Chrysakis and Moens, ICML 2020"

    def sizes(self) -> NDArray[np.int64]:
        """Return the numbers (C,) of exemplars of the classes."""
        return self.slots.group_counts


POLICY = ClassBalancedCount
