"""The byte-exact replay memory.

`buffer.py` has the memory itself, `intake.py` what becomes of samples that it is offered,
`slots.py` its table of exemplars, `arena.py` the bytes of their records, `selection/` the policies
that choose them, `file.py` the file that the budget bounds, and `stored.py` what is read from it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from seit_cl.core.lazy import lazy_names
from seit_cl.memory.selection import policy_names

if TYPE_CHECKING:
    from seit_cl.memory.buffer import ByteBudgetBuffer
    from seit_cl.memory.exemplar_fields import TensorSpec
    from seit_cl.memory.exemplars import Exemplars
else:
    __getattr__ = lazy_names(
        __name__,
        {
            "ByteBudgetBuffer": "buffer",
            "Exemplars": "exemplars",
            "TensorSpec": "exemplar_fields",
        },
    )

__all__ = ["ByteBudgetBuffer", "Exemplars", "TensorSpec", "policy_names"]
