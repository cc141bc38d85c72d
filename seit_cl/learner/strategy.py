"""The contract of a strategy: what the learner does against forgetting."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor
from torch.nn import functional as F

from seit_cl.learner.batches import Batch


@dataclass(frozen=True)
class NoHyper:
    """For strategies without hyperparameters."""


class Strategy:
    """One file in strategies/ subclasses this and names the subclass STRATEGY.

    Attributes:
        Hyper: frozen dataclass of every hyperparameter with its default and source.
        stores: extras kept with each exemplar, by name (a seit_cl.memory TensorSpec each).
        needs_boundaries: whether it must know when an experience ends.
        exemplar_free: True where it never replays.
        hard_labels: True where its loss needs unmixed batches (no CutMix).
        data: what each experience trains on: its "experience", all so far ("cumulative"), or the whole stream once ("joint").
    """

    Hyper: ClassVar[type[Any]] = NoHyper
    stores: ClassVar[Mapping[str, Any]] = {}
    needs_boundaries: ClassVar[bool] = False
    exemplar_free: ClassVar[bool] = False
    hard_labels: ClassVar[bool] = False
    data: ClassVar[Literal["experience", "cumulative", "joint"]] = "experience"

    def __init__(self, hyper: Any) -> None:
        self.hyper = hyper
        self.label_smoothing = 0.0

    def loss(self, fresh: Batch, replay: Batch | None) -> Tensor:
        """The training loss, from the logits that the learner filled in: cross-entropy of the fresh samples by default."""
        return self.cross_entropy(fresh).mean()

    def cross_entropy(self, batch: Batch) -> Tensor:
        """Cross-entropy (B,) over the classes seen, with soft targets where the batch was mixed."""
        target = batch.labels if batch.targets is None else batch.targets[:, : batch.logits.shape[1]]
        return F.cross_entropy(batch.logits, target, reduction="none", label_smoothing=self.label_smoothing)
