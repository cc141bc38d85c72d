"""What strategies keep for the past beside exemplars: frozen copies of the model, and tensors; measured, saved and restored."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from seit_cl.learner.learner import Learner


class Teacher:
    """The learner's model as it is now, frozen, for the classes seen by now.

    Args:
        learner: whose model is copied; later its precision is used.
    """

    def __init__(self, learner: Learner) -> None:
        self._learner = learner
        self.model: Any = (
            copy.deepcopy(learner.model).eval().requires_grad_(False)
        )  # a copy is never a compiled one
        self.model.zero_grad()  # a copy comes with the last step's gradients
        self.seen = learner.seen

    @torch.no_grad()
    def logits(self, inputs: Tensor) -> Tensor:
        """Logits (B, classes seen when it was copied) float32 of inputs (B, D, h, w)."""
        precision = self._learner.optimisation.precision
        return self._learner.logits(inputs, precision, self.model)[:, : self.seen]

    @torch.no_grad()
    def features(self, inputs: Tensor) -> Tensor:
        """What its head sees (B, width) float32, of inputs (B, D, h, w)."""
        return self._learner.embed(inputs, self._learner.optimisation.precision, self.model)

    def state_dict(self) -> dict[str, Any]:
        """Its weights and its number of classes."""
        return {"old_model": self.model.state_dict(), "seen": self.seen}

    @staticmethod
    def restore(state: dict[str, Any], learner: Learner) -> Teacher:
        """The copy that a state_dict was taken of."""
        old = Teacher(learner)
        old.model.load_state_dict(state["old_model"])
        old.seen = state["seen"]
        return old


def kept_bytes(value: Any) -> int:
    """Bytes of the tensors of something that a strategy keeps."""
    if isinstance(value, Teacher):
        return kept_bytes(dict(value.model.state_dict()))
    if isinstance(value, dict):
        return sum(kept_bytes(part) for part in value.values())
    if isinstance(value, list):
        return sum(map(kept_bytes, value))
    return value.nbytes if isinstance(value, Tensor) else 0


def pack(value: Any) -> Any:
    """Something that a strategy keeps, as a checkpoint takes it: tensors, numbers, strings, and dictionaries of them.

    Raises:
        TypeError: something else.
    """
    if isinstance(value, Teacher):
        return value.state_dict()
    if isinstance(value, dict):
        return {name: pack(part) for name, part in value.items()}
    if value is None or isinstance(value, Tensor | int | float | str):
        return value
    raise TypeError(
        f"a strategy keeps a {type(value).__name__}; it can keep tensors, numbers, dictionaries of them, an OldModel"
    )


def unpack(value: Any, learner: Learner) -> Any:
    """The inverse of `pack`, on the learner's device."""
    if isinstance(value, dict):
        if "old_model" in value:
            return Teacher.restore(value, learner)
        return {name: unpack(part, learner) for name, part in value.items()}
    return value.to(learner.device) if isinstance(value, Tensor) else value
