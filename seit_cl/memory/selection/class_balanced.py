"""class-balanced: class-balancing reservoir sampling with equal bytes for every class."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from seit_cl.memory.selection._per_class import ClassBalancingPolicy


class ClassBalanced(ClassBalancingPolicy):
    """Balances the bytes of the classes, with ties to the smaller label."""

    paper = "Chrysakis and Moens, ICML 2020, with bytes in place of counts"

    def sizes(self) -> NDArray[np.int64]:
        return self.slots.group_bytes


POLICY = ClassBalanced
