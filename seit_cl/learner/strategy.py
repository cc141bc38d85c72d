"""The contract of a strategy: what the learner does against forgetting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import torch
from torch import Tensor
from torch.nn import functional as F

from seit_cl.core.specs import NoOptions
from seit_cl.learner.batches import Batch, draw_uniformly
from seit_cl.learner.interfaces import Memory
from seit_cl.learner.strategy_state import kept_bytes, pack, unpack

if TYPE_CHECKING:
    from seit_cl.learner.learner import Learner
    from seit_cl.memory import TensorSpec


class Strategy:
    """One file in strategies/ subclasses this and names the subclass STRATEGY.

    Hooks have Avalanche's names and meaning. In an experience they are called in this order: before_training_exp; for every
    step before_sampling, loss and after_backward; after_training_exp; `extras` of every sample that the memory is offered;
    second_stage. `self.learner` is there from the first hook on.

    Attributes:
        paper: where it was published, in a few words.
        Options: frozen dataclass of every hyperparameter with its default and source.
        keeps: the attributes that hold something for the past beside the exemplars. They count as strategy_bytes and go into
            the checkpoint; each is None at first, later a tensor, a number, an OldModel or a dictionary of such. A strategy must
            hold no tensors elsewhere.
        needs_boundaries: whether it must know when an experience ends.
        exemplar_free: True where it never replays.
        hard_labels: True where its loss needs unmixed batches (no CutMix).
        policies: the selection policies that it works with, its own first; empty: all.
        data: what each experience trains on: its "experience", all so far ("cumulative"), the whole stream once ("joint"), or
            exemplars alone, after the memory was offered the experience ("memory").
        uses_features: True where its loss needs the batches' features.
        replay_apart: True where the learner is to run the fresh samples alone: the replay batch comes without logits.
        avalanche_plugins: Avalanche plugins that run beside it.
    """

    paper: ClassVar[str] = ""
    Options: ClassVar[type[Any]] = NoOptions
    state_attributes: ClassVar[Sequence[str]] = ()
    needs_boundaries: ClassVar[bool] = False
    exemplar_free: ClassVar[bool] = False
    disable_cutmix: ClassVar[bool] = False
    policies: ClassVar[Sequence[str]] = ()
    data: ClassVar[Literal["experience", "cumulative", "joint", "memory"]] = "experience"
    uses_features: ClassVar[bool] = False
    replay_apart: ClassVar[bool] = False
    avalanche_plugins: Sequence[Any] = ()
    learner: Learner

    def __init__(self, options: Any) -> None:
        self.options = options
        self.label_smoothing = 0.0
        for name in self.state_attributes:
            setattr(self, name, None)

    @classmethod
    def build(cls, options: Any, context: None = None) -> Self:
        """Build the strategy (see `seit_cl.core.plugins.Plugin`)."""
        return cls(options)

    def exemplar_fields(self, classes: int) -> Mapping[str, TensorSpec]:
        """Extras kept with each exemplar, by name, in a run of so many classes C; they are part of the memory's file."""
        return {}

    def before_training_exp(self) -> None:
        """Before the first step of an experience."""

    def before_sampling(
        self, fresh: Batch, memory: Memory, count: int, generator: torch.Generator
    ) -> Any:
        """The Exemplars that a step replays: `count` drawn uniformly by default.

        Args:
            fresh: the step's fresh samples.
            memory: holds at least one exemplar.
            count: how many to return.
            generator: for every draw, on the CPU.
        """
        return draw_uniformly(fresh, memory, count, generator)

    def loss(self, fresh: Batch, replay: Batch | None) -> Tensor:
        """The training loss, from the logits that the learner filled in: cross-entropy of the fresh samples by default."""
        return self.cross_entropy(fresh).mean()

    def after_backward(self, fresh: Batch, replay: Batch | None) -> None:
        """When the loss's gradients are there, before they are clipped."""

    def after_training_exp(self) -> None:
        """After the last step of an experience, before the memory is offered its samples."""

    def extras(self, raw: Tensor) -> dict[str, Tensor]:
        """Values (B, *shape) of `exemplar_fields` for raw samples (B, ...) that the memory is about to be offered."""
        return {}

    def after_memory_update(self) -> None:
        """After the memory was offered the experience's samples, before the learner is tested."""

    def predict(self, inputs: Tensor) -> Tensor:
        """Labels (B,) int64 of unaugmented inputs (B, D, h, w): the largest logit's by default.

        Always in float32: bf16 logits tie at the top in about 1 % of images, and a tie would go to the older class. Never
        compiled: other batches in another precision are not worth graphs of their own.
        """
        return self.learner.logits(inputs, "fp32", self.learner.model.forward).argmax(1)

    @property
    def strategy_bytes(self) -> int:
        """Bytes of what it keeps beside the exemplars."""
        return sum(kept_bytes(getattr(self, name)) for name in self.state_attributes)

    def state_dict(self) -> dict[str, Any]:
        """What it keeps, for a checkpoint."""
        return {name: pack(getattr(self, name)) for name in self.state_attributes}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where state_dict was taken."""
        for name in self.state_attributes:
            setattr(self, name, unpack(state[name], self.learner))

    def cross_entropy(self, batch: Batch, among: Tensor | None = None) -> Tensor:
        """Cross-entropy (B,) over the classes seen, with soft targets where the batch was mixed.

        Args:
            batch: with logits (B, C).
            among: (C,) bool, the classes that compete; None: all. Needs hard labels.
        """
        if among is not None:
            logs = batch.logits.masked_fill(~among, -torch.inf).log_softmax(1)
            hit = logs.gather(1, batch.labels[:, None])[:, 0]
            mean = logs.masked_fill(~among, 0.0).sum(1) / among.sum()
            return -(1 - self.label_smoothing) * hit - self.label_smoothing * mean
        target = (
            batch.labels if batch.targets is None else batch.targets[:, : batch.logits.shape[1]]
        )
        return F.cross_entropy(
            batch.logits, target, reduction="none", label_smoothing=self.label_smoothing
        )
