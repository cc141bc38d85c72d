"""LUCIR: learning a unified classifier incrementally via rebalancing (Hou et al., CVPR 2019), on a ViT's features."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from seit_cl.learner.batches import Batch
from seit_cl.learner.prototypes import feature_sums
from seit_cl.learner.strategy import Strategy
from seit_cl.learner.strategy_state import Teacher


@dataclass(frozen=True)
class Options:
    """The paper's for CIFAR-100 (recalled), but for the scale, which is learnt there."""

    distillation: float = 5.0  # lambda_base
    margin: float = 0.5  # m of the ranking loss
    hardest: int = 2  # K, new classes that an exemplar is ranked against
    scale: float = 16.0  # of the cosines


class UnifiedClassifier(Strategy):
    """Classes by the cosine of feature and class vector; features are held to the old model's, exemplars apart from new classes.

    The feature is what the head sees: the average over the ViT's patches, behind its last norm.
    """

    paper = "Hou et al., CVPR 2019"
    Options = Options
    state_attributes = ("old_model",)
    needs_boundaries = True
    disable_cutmix = True
    uses_features = True
    old_model: Teacher | None

    def before_training_exp(self) -> None:
        """The vector of a new class is the mean of its features at first."""
        learner, old = self.learner, self.learner.seen_before
        parts = ((learner.features(raw), labels) for raw, labels in learner.fresh_samples())
        with torch.no_grad():
            learner.model.head.weight[old : learner.seen] = F.normalize(
                feature_sums(parts, learner.seen), dim=1
            )[old:]

    def cosines(self, features: Tensor) -> Tensor:
        """(B, C) between features (B, width) and class vectors."""
        head: Any = self.learner.model.head
        rows = head.weight[: self.learner.seen] if self.learner.grow_head else head.weight
        return F.normalize(features, dim=1) @ F.normalize(rows, dim=1).T

    def loss(self, fresh: Batch, replay: Batch | None) -> Tensor:
        """Cross-entropy + lambda (1 - cosine of new and old feature) + ranking of the exemplars of older classes."""
        batches = [batch for batch in (fresh, replay) if batch is not None]
        for batch in batches:
            batch.logits = self.options.scale * self.cosines(batch.features)
        loss = torch.cat([self.cross_entropy(batch) for batch in batches]).mean()
        if self.old_model is None:
            return loss
        now, then = (
            torch.cat([b.features for b in batches]),
            self.old_model.features(torch.cat([b.inputs for b in batches])),
        )
        old, new = self.old_model.seen, max(1, self.learner.seen - self.old_model.seen)
        held = self.options.distillation * math.sqrt(old / new)
        loss = loss + held * (1 - F.cosine_similarity(now, then)).mean()
        return loss if replay is None else loss + self.ranking(replay, old)

    def ranking(self, replay: Batch, old: int) -> Tensor:
        """Mean over exemplars of older classes of sum_k max(0, m - own cosine + k-th largest of a new class)."""
        cosines = replay.logits[:, : self.learner.seen] / self.options.scale
        own = cosines.gather(1, replay.labels[:, None])
        hardest = cosines[:, old:].topk(min(self.options.hardest, cosines.shape[1] - old)).values
        margins = (self.options.margin - own + hardest).clamp_min(0).sum(1)
        of_old = replay.labels < old
        return (margins * of_old).sum() / of_old.sum().clamp_min(1)

    def after_training_exp(self) -> None:
        """The teacher of the next experience."""
        self.old_model = Teacher(self.learner)

    def predict(self, inputs: Tensor) -> Tensor:
        """The class of the largest cosine."""
        return self.cosines(self.learner.embed(inputs, "fp32")).argmax(1)


STRATEGY = UnifiedClassifier
