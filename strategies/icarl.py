"""iCaRL: incremental classifier and representation learning (Rebuffi et al., CVPR 2017)."""

from collections.abc import Iterator
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Options:
    """The authors' code for CIFAR-100 (main_cifar_100_theano.py) takes flipped exemplars into the
    means; the paper does not name them.
    """

    flip: bool = True  # means of exemplars and of their mirror images, where training mirrors any


class ICaRL(Strategy):
    """Exemplars chosen by herding, distillation of older classes, nearest mean of exemplars.

    Without exemplars it predicts by its logits; a class without exemplars is not predicted.
    """

    paper = "Rebuffi et al., CVPR 2017"
    several_ranks = True
    Options = Options
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
        parts = exemplar_features(memory, learner, self.options.flip)
        sums = feature_sums(parts, learner.classes_seen)
        self.means = F.normalize(sums, dim=1).to(learner.device)

    def scores(self, inputs: Tensor, learner: LearnerView) -> Tensor:
        """Cosines with the means of the classes."""
        if self.means is None:
            return super().scores(inputs, learner)
        return cosines_with_means(learner.features(inputs, "fp32"), self.means)


def exemplar_features(
    memory: Memory, learner: LearnerView, flip: bool
) -> Iterator[tuple[Tensor, Tensor]]:
    """Features (B, width) and labels (B,) of all exemplars, batch by batch, on the CPU.

    Args:
        memory: holds the exemplars.
        learner: its model gives the features.
        flip: also those of their mirror images, where training mirrors any.
    """
    together = min(DECODED_AT_ONCE, learner.most_at_once)
    for ids in torch.arange(len(memory)).split(together):
        exemplars = memory.by_ids(ids)
        labels = exemplars.labels.cpu()
        yield learner.raw_features(exemplars.inputs), labels
        mirrored = None
        if flip:
            mirrored = learner.augment.mirrored(exemplars.inputs.to(learner.device))
        if mirrored is not None:
            yield learner.raw_features(mirrored), labels


STRATEGY = ICaRL
