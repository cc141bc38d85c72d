"""NCM: nearest class mean on frozen features (Mensink et al., PAMI 2013)."""

import torch
from torch import Tensor
from torch.nn import functional as F

from seit_cl.learner.interfaces import LearnerView
from seit_cl.learner.prototypes import cosines_with_means, feature_sums, fresh_features
from seit_cl.learner.strategy import Strategy


class NearestClassMean(Strategy):
    """Train in the first experience, then freeze the network and store a mean for each class.

    It takes steps in the first experience only: its accuracy depends on the size of that experience
    (--first-classes).
    """

    paper = "Mensink et al., PAMI 2013"
    several_ranks = True
    state_attributes = ("means",)
    exemplar_free = True
    needs_boundaries = True
    capturable = True
    means: Tensor | None

    def before_training_exp(self, learner: LearnerView) -> None:
        """Take no steps from the second experience on."""
        if learner.experiences_finished > 0:
            learner.stop_training()

    def after_training_exp(self, learner: LearnerView) -> None:
        """Add the means of new classes; a class seen before keeps its mean."""
        sums = feature_sums(fresh_features(learner), learner.classes_seen)
        means = F.normalize(sums, dim=1).to(learner.device)
        if self.means is not None:
            means = torch.cat([self.means, means[len(self.means) :]])
        self.means = means

    @property
    def can_score(self) -> bool:
        """True from the end of the first experience on."""
        return self.means is not None

    def scores(self, inputs: Tensor, learner: LearnerView) -> Tensor:
        """Cosines with the means of the classes."""
        assert self.means is not None
        return cosines_with_means(learner.features(inputs, "fp32"), self.means)


STRATEGY = NearestClassMean
