"""NCM: nearest class mean on frozen features, as in Mensink et al. (PAMI 2013) and the class-incremental baselines since."""

import torch
from torch import Tensor
from torch.nn import functional as F

from seit_cl.learner.prototypes import feature_sums, nearest_mean
from seit_cl.learner.strategy import Strategy


class NearestClassMean(Strategy):
    """No memory: the network learns in the first experience and is frozen then; of later classes only a mean is kept.

    It takes steps in the first experience alone. What it ends at depends on how much that experience holds: --first-classes.
    """

    paper = "Mensink et al., PAMI 2013"
    state_attributes = ("means",)
    exemplar_free = True
    needs_boundaries = True
    means: Tensor | None

    def before_training_exp(self) -> None:
        """Frozen from the second experience on."""
        if self.learner.clock.train_exp_counter > 0:
            self.learner.stop_training()

    def after_training_exp(self) -> None:
        """Means of the classes that are new; a class seen before keeps the mean that it has."""
        learner = self.learner
        parts = learner.fresh_samples()
        sums = feature_sums(
            ((learner.features(raw), labels) for raw, labels in parts), learner.seen
        )
        means = F.normalize(sums, dim=1).to(learner.device)
        self.means = (
            means if self.means is None else torch.cat([self.means, means[len(self.means) :]])
        )

    def predict(self, inputs: Tensor) -> Tensor:
        """The nearest mean's class."""
        assert self.means is not None
        return nearest_mean(self.learner.embed(inputs, "fp32"), self.means)


STRATEGY = NearestClassMean
