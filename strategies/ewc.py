"""EWC: elastic weight consolidation (Kirkpatrick et al., 2017), online (Schwarz et al., 2018)."""

from dataclasses import dataclass

from torch import Tensor

from seit_cl.core.options import NOT_NEGATIVE, PROBABILITY, ranged
from seit_cl.learner.batches import ForwardedBatch
from seit_cl.learner.fisher import diagonal_fisher, trained_weights
from seit_cl.learner.interfaces import LearnerView
from seit_cl.learner.search_space import LogUniform, searched
from seit_cl.learner.strategy import Strategy


@dataclass(frozen=True)
class Options:
    """Our values: the papers' depend on their models and gradients."""

    # lambda, found by `python -m seit_cl.tune` (docs/tuning.md)
    strength: float = searched(18500.0, LogUniform(1.0, 1e6), NOT_NEGATIVE)
    # gamma, of older experiences' Fisher information; Schwarz et al.: below 1
    decay: float = ranged(1.0, PROBABILITY)
    # of each experience, for the Fisher information; 0: all
    samples: int = ranged(500, NOT_NEGATIVE)


class ElasticWeightConsolidation(Strategy):
    """A quadratic penalty on changes of the weights that mattered for older experiences.

    The weight of the penalty is the diagonal of the empirical Fisher information (squared gradients
    of each sample's log-likelihood with its true label), summed over experiences. Its centre, the
    anchor, is the model after the last experience.
    """

    paper = "Kirkpatrick et al., PNAS 2017; Schwarz et al., ICML 2018"
    several_ranks = True
    Options = Options
    state_attributes = ("fisher", "anchor")
    needs_boundaries = True
    exemplar_free = True
    capturable = True
    fisher: dict[str, Tensor] | None
    anchor: dict[str, Tensor] | None

    def loss(
        self, fresh: ForwardedBatch, replay: ForwardedBatch | None, learner: LearnerView
    ) -> Tensor:
        """L(fresh) + lambda / 2 sum_i F_i (theta_i - theta*_i)^2."""
        loss = self.cross_entropy(fresh).mean()
        if self.fisher is None or self.anchor is None:
            return loss
        weights = dict(learner.model.named_parameters())
        penalty = 0
        for name, fisher in self.fisher.items():
            penalty = penalty + (fisher * (weights[name] - self.anchor[name]) ** 2).sum()
        return loss + self.options.strength / 2 * penalty

    def after_training_exp(self, learner: LearnerView) -> None:
        """Add the experience's Fisher information to the older ones', and move the anchor."""
        fisher = diagonal_fisher(learner, self.options.samples)
        if self.fisher is not None:
            for name, older in self.fisher.items():
                fisher[name] = self.options.decay * older + fisher[name]
        self.fisher = fisher
        weights = trained_weights(learner.model)
        self.anchor = {name: weight.clone() for name, weight in weights.items()}


STRATEGY = ElasticWeightConsolidation
