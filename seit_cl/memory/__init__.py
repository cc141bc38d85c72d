"""The byte-exact replay memory: arena (bytes), selection (who stays), buffer (Avalanche's ExemplarsBuffer)."""

from seit_cl.memory.buffer import ByteBudgetBuffer, Exemplars
from seit_cl.memory.file import TensorSpec
from seit_cl.memory.selection import POLICIES

__all__ = ["POLICIES", "ByteBudgetBuffer", "Exemplars", "TensorSpec"]
