"""What a strategy holds, found without asking it: every tensor that can be reached from it, but for the learner's."""

import gc
import types
from collections.abc import Iterator
from typing import Any

from torch import Tensor

from seit_cl.learner.learner import Learner
from seit_cl.learner.strategy import Strategy

_CLOSED = (
    type,
    types.ModuleType,
    types.FrameType,
    types.CodeType,
    types.BuiltinFunctionType,
    Learner,
)


def held_tensors(strategy: Strategy) -> list[Tensor]:
    """Every tensor reachable from the strategy, once each, gradients included."""
    found: dict[int, Tensor] = {}
    seen: dict[int, Any] = {}
    waiting: list[Any] = [vars(strategy)]
    while waiting:
        value = waiting.pop()
        if id(value) in seen or isinstance(value, _CLOSED):
            continue
        seen[id(value)] = value  # kept alive, so that ids stay its own
        if isinstance(value, Tensor):
            found[id(value)] = value
            waiting.append(value.grad)
        waiting.extend(_inside(value))
    return list(found.values())


def _inside(value: Any) -> Iterator[Any]:
    if isinstance(value, types.FunctionType):  # a function refers to its whole module too
        yield from (cell.cell_contents for cell in value.__closure__ or () if cell is not None)
        yield from value.__defaults__ or ()
    else:
        yield from gc.get_referents(value)


def undeclared_bytes(strategy: Strategy) -> int:
    """Bytes of tensors held beyond those that the strategy reports."""
    return sum(tensor.nbytes for tensor in held_tensors(strategy)) - strategy.strategy_bytes
