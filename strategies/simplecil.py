"""SimpleCIL: class means of a pre-trained network as a cosine classifier (Zhou et al., "Revisiting
class-incremental learning with pre-trained models: generalizability and adaptivity are all you
need", IJCV 2024)."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from seit_cl.learner.interfaces import LearnerView
from seit_cl.learner.prototypes import fresh_features
from seit_cl.learner.strategy import Strategy


@dataclass(frozen=True)
class Options:
    """The paper's SimpleCIL takes no steps; its APER adapts the network to the first classes."""

    adapt: bool = False  # take steps in the first experience


class SimpleCIL(Strategy):
    """Store each class's mean feature, and predict the class of the largest cosine; no training.

    Made for pre-trained networks (--init, or weights=FILE of a timm network). Means are those of
    features as they are; `ncm` averages features of unit length.
    """

    paper = "Zhou et al., IJCV 2024"
    several_ranks = True
    Options = Options
    state_attributes = ("sums",)
    exemplar_free = True
    needs_boundaries = True
    capturable = True
    sums: Tensor | None

    def before_training_exp(self, learner: LearnerView) -> None:
        """Take no steps, or none after the first experience."""
        if learner.experiences_finished > 0 or not self.options.adapt:
            learner.stop_training()

    def after_training_exp(self, learner: LearnerView) -> None:
        """Add the features of the experience's samples to the sums of their classes."""
        sums: Tensor | None = None
        for features, labels in fresh_features(learner):
            if sums is None:
                sums = features.new_zeros(learner.classes_seen, features.shape[1])
            sums.index_add_(0, labels, features)
        assert sums is not None
        sums = sums.to(learner.device)
        if self.sums is not None:
            sums[: len(self.sums)] += self.sums
        self.sums = sums

    @property
    def can_score(self) -> bool:
        """True from the end of the first experience on."""
        return self.sums is not None

    def scores(self, inputs: Tensor, learner: LearnerView) -> Tensor:
        """Cosines with the means of the classes."""
        assert self.sums is not None
        features = learner.features(inputs, "fp32")
        cosines = F.normalize(features, dim=1) @ F.normalize(self.sums, dim=1).T
        return cosines.masked_fill(~self.sums.any(1), -torch.inf)


STRATEGY = SimpleCIL
