"""Search for every tensor that a strategy refers to, except the learner's."""

import gc
import types
from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn

from seit_cl.learner.learner import Learner
from seit_cl.learner.strategy import Strategy

NOT_FOLLOWED = (
    type,
    types.ModuleType,
    types.FrameType,
    types.CodeType,
    types.BuiltinFunctionType,
    Learner,
)


def reachable_tensors(strategy: Strategy) -> list[Tensor]:
    """Every tensor reachable from the strategy, once each.

    Gradients are included, but those of modules that it trains: like the learner's, they are
    working memory between two steps.
    """
    trained: set[int] = set()
    for name in strategy.state_attributes:
        module = getattr(strategy, name)
        if isinstance(module, nn.Module):
            trained.update(map(id, module.parameters()))
    tensors: list[Tensor] = []
    visited: dict[int, Any] = {}  # values by id; kept alive, so that no id is used again
    to_visit: list[Any] = [vars(strategy)]
    while to_visit:
        value = to_visit.pop()
        if id(value) in visited or isinstance(value, NOT_FOLLOWED):
            continue
        visited[id(value)] = value
        if isinstance(value, Tensor):
            tensors.append(value)
            if id(value) in trained:
                continue
            to_visit.append(value.grad)
        to_visit.extend(_references(value))
    return tensors


def _references(value: Any) -> Iterable[Any]:
    if not isinstance(value, types.FunctionType):
        return gc.get_referents(value)
    # A function also refers to all of its module, which is not its own.
    cells = value.__closure__ or ()
    return [*(cell.cell_contents for cell in cells), *(value.__defaults__ or ())]


def undeclared_bytes(strategy: Strategy) -> int:
    """Bytes of reachable tensors beyond those that the strategy reports."""
    reachable_bytes = sum(tensor.nbytes for tensor in reachable_tensors(strategy))
    return reachable_bytes - strategy.strategy_bytes
