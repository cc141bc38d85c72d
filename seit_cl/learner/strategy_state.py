"""Strategy state other than exemplars: teachers, tensors, modules; measured, saved, restored."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from seit_cl.core.errors import UserError
from seit_cl.learner.forward import float_features, float_logits
from seit_cl.learner.interfaces import LearnerView


class Teacher:
    """A frozen copy of the learner's model, for the classes seen when it was copied.

    Args:
        learner: its model is copied; its precision is used for the teacher's forward passes.
    """

    def __init__(self, learner: LearnerView) -> None:
        # A deep copy is never a compiled model.
        self.model: Any = copy.deepcopy(learner.model).eval().requires_grad_(False)
        self.model.zero_grad()  # the copy includes the last step's gradients
        self.precision = learner.optimisation.precision
        self.classes_seen = learner.classes_seen
        self._ranks = learner.ranks

    @torch.no_grad()
    def logits(self, inputs: Tensor) -> Tensor:
        """Logits (B, classes seen when it was copied) float32 of inputs (B, D, h, w)."""
        logits = self._ranks.in_parts(
            lambda part: float_logits(self.model, part, self.precision), inputs
        )
        return logits[:, : self.classes_seen]

    @torch.no_grad()
    def features(self, inputs: Tensor) -> Tensor:
        """Features (B, width) float32 of inputs (B, D, h, w)."""
        return self._ranks.in_parts(
            lambda part: float_features(self.model, part, self.precision), inputs
        )

    def state_dict(self) -> dict[str, Any]:
        """Weights and number of classes."""
        return {"teacher": self.model.state_dict(), "classes_seen": self.classes_seen}

    @staticmethod
    def restore(state: dict[str, Any], learner: LearnerView) -> Teacher:
        """Rebuild the teacher of a state_dict."""
        teacher = Teacher(learner)
        teacher.model.load_state_dict(state["teacher"])
        teacher.classes_seen = state["classes_seen"]
        return teacher


# State that is filled in place, in objects that `Strategy.build_state` makes for every start.
BUILT = (nn.Module, Optimizer, torch.Generator)


def built_names(state: Mapping[str, Any]) -> frozenset[str]:
    """Names of the attributes that hold a module, an optimiser or a generator."""
    return frozenset(name for name, value in state.items() if isinstance(value, BUILT))


def refuse_unnamed(owner: str, made: Mapping[str, Any], named: Sequence[str]) -> None:
    """Refuse state that a resumed run would begin anew, since no list of state names it.

    Args:
        owner: of the state, in the message.
        made: what `build_state` has made, by attribute.
        named: the strategy's state_attributes.

    Raises:
        UserError: naming the attribute.
    """
    for name, value in made.items():
        is_empty = isinstance(value, nn.Module) and not value.state_dict()
        if isinstance(value, BUILT) and not is_empty and name not in named:
            raise UserError(
                f"{owner}: build_state makes {name!r}, which state_attributes lacks; add it there, "
                "so that a resumed run has it"
            )


def copy_built(state: Mapping[str, Any]) -> dict[str, Any]:
    """Copy modules, optimisers and generators; optimisers keep to the copies of their weights.

    Args:
        state: a strategy's, by attribute; anything else is left out.
    """
    memo: dict[int, Any] = {}
    copies: dict[str, Any] = {}
    for name, value in state.items():
        if isinstance(value, torch.Generator):
            copies[name] = torch.Generator(value.device)
            copies[name].set_state(value.get_state())
        elif isinstance(value, BUILT):
            copies[name] = copy.deepcopy(value, memo)
    return copies


def state_bytes(value: Any) -> int:
    """Bytes of all tensors in a strategy's state.

    Args:
        value: a Teacher, a module, an optimiser, a tensor, or dictionaries and lists of them;
            anything else counts 0.
    """
    if isinstance(value, Teacher):
        return state_bytes(dict(value.model.state_dict()))
    if isinstance(value, nn.Module):
        return state_bytes(dict(value.state_dict()))
    if isinstance(value, Optimizer):
        return state_bytes(value.state_dict()["state"])
    if isinstance(value, dict):
        return sum(state_bytes(part) for part in value.values())
    if isinstance(value, list):
        return sum(map(state_bytes, value))
    return value.nbytes if isinstance(value, Tensor) else 0


def pack(value: Any) -> Any:
    """Convert a strategy's state to tensors, numbers, strings and dictionaries for a checkpoint.

    Raises:
        TypeError: state of another type.
    """
    if isinstance(value, Teacher | nn.Module | Optimizer):
        return value.state_dict()
    if isinstance(value, torch.Generator):
        return value.get_state()
    if isinstance(value, dict):
        return {name: pack(part) for name, part in value.items()}
    if value is None or isinstance(value, Tensor | int | float | str):
        return value
    raise TypeError(
        f"a strategy's state has a {type(value).__name__}; use tensors, numbers, dictionaries of "
        "them, a Teacher, or a module, an optimiser or a generator that build_state makes"
    )


def unpack(value: Any, learner: LearnerView, current: Any = None) -> Any:
    """Invert `pack`, with tensors on the learner's device.

    Args:
        value: from `pack`.
        learner: gives the device, and the model that a Teacher is a copy of.
        current: the attribute before; a module, an optimiser or a generator is filled in place.
    """
    if isinstance(current, nn.Module | Optimizer):
        current.load_state_dict(value)
        return current
    if isinstance(current, torch.Generator):
        current.set_state(value.cpu())
        return current
    if isinstance(value, dict):
        if "teacher" in value:
            return Teacher.restore(value, learner)
        return {name: unpack(part, learner) for name, part in value.items()}
    return value.to(learner.device) if isinstance(value, Tensor) else value
