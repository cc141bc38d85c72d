"""iCaRL: incremental classifier and representation learning (Rebuffi et al., CVPR 2017)."""

import torch
from torch import Tensor
from torch.nn import functional as F

from seit_cl.learner.augment.cutmix import soft_targets
from seit_cl.learner.batches import Batch
from seit_cl.learner.prototypes import feature_sums, nearest_mean
from seit_cl.learner.strategy import Strategy
from seit_cl.learner.strategy_state import Teacher

CHUNK = 512  # exemplars decoded at once


class ICaRL(Strategy):
    """Exemplars by herding, classes by the nearest mean of their exemplars, and for older classes the old model's say.

    Without exemplars it predicts by its logits; a class without exemplars is not predicted.
    """

    paper = "Rebuffi et al., CVPR 2017"
    state_attributes = ("old_model", "means")
    needs_boundaries = True
    policies = ("herding",)
    old_model: Teacher | None
    means: Tensor | None

    def loss(self, fresh: Batch, replay: Batch | None) -> Tensor:
        """Binary cross-entropy of every class, summed: new ones against the labels, older ones against the old model."""
        return torch.cat(
            [self.binary(batch) for batch in (fresh, replay) if batch is not None]
        ).mean()

    def binary(self, batch: Batch) -> Tensor:
        """(B,) the paper's algorithm 3."""
        classes = batch.logits.shape[1]
        target = (
            soft_targets(batch.labels, classes)
            if batch.targets is None
            else batch.targets[:, :classes].clone()
        )
        if self.old_model is not None:
            target[:, : self.old_model.seen] = self.old_model.logits(batch.inputs).sigmoid()
        return F.binary_cross_entropy_with_logits(batch.logits, target, reduction="none").sum(1)

    def after_training_exp(self) -> None:
        """The teacher of the next experience."""
        self.old_model = Teacher(self.learner)

    def after_memory_update(self) -> None:
        """The classes' means over the exemplars as they are now."""
        memory, learner = self.learner.memory, self.learner
        if memory is not None and len(memory):
            parts = (memory.by_ids(ids) for ids in torch.arange(len(memory)).split(CHUNK))
            sums = feature_sums(
                ((learner.features(part.inputs), part.labels.cpu()) for part in parts), learner.seen
            )
            self.means = F.normalize(sums, dim=1).to(learner.device)

    def predict(self, inputs: Tensor) -> Tensor:
        """The nearest mean's class."""
        if self.means is None:
            return super().predict(inputs)
        return nearest_mean(self.learner.embed(inputs, "fp32"), self.means)


STRATEGY = ICaRL
