"""LUCIR: Hou et al., "Learning a unified classifier incrementally via rebalancing", CVPR 2019."""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from seit_cl.core.options import NOT_NEGATIVE, POSITIVE, ranged
from seit_cl.learner.batches import Batch, ForwardedBatch
from seit_cl.learner.interfaces import LearnerView
from seit_cl.learner.prototypes import feature_sums, fresh_features
from seit_cl.learner.search_space import Choices, LogUniform, Uniform, searched
from seit_cl.learner.strategy import Strategy
from seit_cl.learner.strategy_state import Teacher


@dataclass(frozen=True)
class Options:
    """The authors' values for CIFAR-100, except the scale, which they learn.

    They stand in class_incremental_cosine_cifar100.py, as does that older vectors are frozen.
    """

    distillation: float = searched(5.0, LogUniform(0.5, 50.0), NOT_NEGATIVE)  # lambda_base
    margin: float = searched(0.5, Uniform(0.1, 0.9), NOT_NEGATIVE)  # m of the ranking loss
    hardest: int = ranged(2, NOT_NEGATIVE)  # K, new classes that an exemplar is ranked against
    scale: float = searched(16.0, Choices(8.0, 16.0, 32.0), POSITIVE)  # of the cosines
    freeze: bool = False  # hold the vectors of older classes, as the authors do


class UnifiedClassifier(Strategy):
    """Cosine classifier with feature distillation and a margin between older and new classes.

    The features are those in front of the head: the average over the ViT's patches after its last
    norm.
    """

    paper = "Hou et al., CVPR 2019"
    several_ranks = True
    Options = Options
    state_attributes = ("teacher",)
    needs_boundaries = True
    disable_cutmix = True
    uses_features = True
    capturable = True
    teacher: Teacher | None

    def before_training_exp(self, learner: LearnerView) -> None:
        """Start new classes' vectors at their mean features, with the older ones' mean length.

        In the first experience the features are those of random weights, and nothing is done.
        """
        older = learner.classes_seen_before
        if self.teacher is None or older == learner.classes_seen:
            return
        sums = feature_sums(fresh_features(learner), learner.classes_seen)
        with torch.no_grad():
            vectors = learner.model.head.weight[: learner.classes_seen]
            length = vectors[:older].norm(dim=1).mean()
            vectors[older:] = length * F.normalize(sums, dim=1)[older:]

    def cosines(self, features: Tensor, learner: LearnerView) -> Tensor:
        """Cosines (B, C) between features (B, width) and class vectors."""
        vectors = learner.model.head.weight
        if learner.grow_head:
            vectors = vectors[: learner.classes_seen]
        return F.normalize(features, dim=1) @ F.normalize(vectors, dim=1).T

    def loss(
        self, fresh: ForwardedBatch, replay: ForwardedBatch | None, learner: LearnerView
    ) -> Tensor:
        """Cross-entropy + lambda (1 - cosine of teacher's and learner's feature) + ranking."""
        fresh = self.with_cosines(fresh, learner)
        batches = [fresh]
        if replay is not None:
            replay = self.with_cosines(replay, learner)
            batches.append(replay)
        loss = self.mean_cross_entropy(fresh, replay)
        if self.teacher is None:
            return loss
        features = torch.cat([features_of(batch) for batch in batches])
        teacher_features = self.teacher.features(torch.cat([batch.inputs for batch in batches]))
        older = self.teacher.classes_seen
        new = max(1, learner.classes_seen - older)
        strength = self.options.distillation * math.sqrt(older / new)
        loss = loss + strength * (1 - F.cosine_similarity(features, teacher_features)).mean()
        if replay is None:
            return loss
        return loss + self.ranking(replay, older, learner)

    def with_cosines(self, batch: ForwardedBatch, learner: LearnerView) -> ForwardedBatch:
        """The batch with scaled cosines as logits."""
        cosines = self.cosines(features_of(batch), learner)
        return replace(batch, logits=self.options.scale * cosines)

    def ranking(self, replay: ForwardedBatch, older: int, learner: LearnerView) -> Tensor:
        """Margin ranking loss, a mean over exemplars of older classes.

        sum_k max(0, m - cosine of the label + k-th largest cosine of a new class).
        """
        cosines = replay.logits[:, : learner.classes_seen] / self.options.scale
        of_label = cosines.gather(1, replay.labels[:, None])
        new_classes = cosines.shape[1] - older
        hardest = cosines[:, older:].topk(min(self.options.hardest, new_classes)).values
        losses = (self.options.margin - of_label + hardest).clamp_min(0).sum(1)
        is_older = replay.labels < older
        return (losses * is_older).sum() / is_older.sum().clamp_min(1)

    def after_backward(self, fresh: Batch, replay: Batch | None, learner: LearnerView) -> None:
        """Clear the gradient of older classes' vectors where they are frozen.

        Weight decay still shortens them, which changes no cosine.
        """
        gradient = learner.model.head.weight.grad
        if self.options.freeze and self.teacher is not None and gradient is not None:
            gradient[: self.teacher.classes_seen] = 0.0

    def after_training_exp(self, learner: LearnerView) -> None:
        """Make the teacher of the next experience."""
        self.teacher = Teacher(learner)

    def scores(self, inputs: Tensor, learner: LearnerView) -> Tensor:
        """Cosines with the class vectors."""
        return self.cosines(learner.features(inputs, "fp32"), learner)


def features_of(batch: ForwardedBatch) -> Tensor:
    """Features (B, width) of a batch, which `uses_features` asks for."""
    assert batch.features is not None
    return batch.features


STRATEGY = UnifiedClassifier
