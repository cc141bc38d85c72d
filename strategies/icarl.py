"""iCaRL: incremental classifier and representation learning (Rebuffi et al., CVPR 2017)."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from seit_cl.learner.augment.cutmix import soft_targets
from seit_cl.learner.batches import ForwardedBatch
from seit_cl.learner.interfaces import LearnerView, Memory
from seit_cl.learner.prototypes import cosines_with_means, feature_sums
from seit_cl.learner.strategy import Strategy
from seit_cl.learner.strategy_state import Teacher

DECODED_AT_ONCE = 512  # exemplars


class ICaRL(Strategy):
    """Exemplars chosen by herding, distillation of older classes, nearest mean of exemplars.

    Without exemplars it predicts by its logits; a class without exemplars is not predicted.
    """

    paper = "Rebuffi et al., CVPR 2017"
    state_attributes = ("teacher", "means")
    needs_boundaries = True
    policies = ("herding",)
    capturable = True
    teacher: Teacher | None
    means: Tensor | None

    def loss(
        self, fresh: ForwardedBatch, replay: ForwardedBatch | None, learner: LearnerView
    ) -> Tensor:
        """Binary cross-entropy summed over classes, a mean over all samples of the step."""
        losses = [self.binary_loss(batch) for batch in (fresh, replay) if batch is not None]
        return torch.cat(losses).mean()

    def binary_loss(self, batch: ForwardedBatch) -> Tensor:
        """Loss (B,) of the paper's algorithm 3.

        The targets of new classes are the labels, those of older classes the teacher's outputs.
        """
        classes = batch.logits.shape[1]
        if batch.targets is None:
            target = soft_targets(batch.labels, classes)
        else:
            target = batch.targets[:, :classes].clone()
        if self.teacher is not None:
            older = self.teacher.classes_seen
            target[:, :older] = self.teacher.logits(batch.inputs).sigmoid()
        return F.binary_cross_entropy_with_logits(batch.logits, target, reduction="none").sum(1)

    def after_training_exp(self, learner: LearnerView) -> None:
        """Make the teacher of the next experience."""
        self.teacher = Teacher(learner)

    def after_memory_update(self, learner: LearnerView) -> None:
        """Compute the classes' means over the exemplars in the memory."""
        memory = learner.memory
        if memory is None or len(memory) == 0:
            return
        sums = feature_sums(exemplar_features(memory, learner), learner.classes_seen)
        self.means = F.normalize(sums, dim=1).to(learner.device)

    def scores(self, inputs: Tensor, learner: LearnerView) -> Tensor:
        """Cosines with the means of the classes."""
        if self.means is None:
            return super().scores(inputs, learner)
        return cosines_with_means(learner.features(inputs, "fp32"), self.means)


def exemplar_features(memory: Memory, learner: LearnerView) -> Iterator[tuple[Tensor, Tensor]]:
    """Features (B, width) and labels (B,) of all exemplars, batch by batch, on the CPU."""
    for ids in torch.arange(len(memory)).split(DECODED_AT_ONCE):
        exemplars = memory.by_ids(ids)
        yield learner.raw_features(exemplars.inputs), exemplars.labels.cpu()


STRATEGY = ICaRL
