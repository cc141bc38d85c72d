"""EWC: elastic weight consolidation (Kirkpatrick et al., PNAS 2017), in its online form (Schwarz et al., ICML 2018)."""

from dataclasses import dataclass

from torch import Tensor

from seit_cl.learner.batches import Batch
from seit_cl.learner.fisher import diagonal_fisher
from seit_cl.learner.strategy import Strategy


@dataclass(frozen=True)
class Options:
    """No value of the papers' carries over: they depend on the model and its gradients."""

    strength: float = 1000.0  # lambda
    decay: float = (
        1.0  # gamma, of the older experiences' Fisher information; below 1 in Schwarz et al.
    )
    samples: int = 500  # of each experience that the Fisher information is averaged over; 0: all


class ElasticWeightConsolidation(Strategy):
    """No memory: weights that mattered for older experiences are held where they were, by a quadratic penalty.

    What matters is the diagonal of the empirical Fisher information (squared gradients of each sample's log-likelihood with its
    true label), summed over experiences; the penalty is centred on the
    weights after the last one (the anchor).
    """

    paper = "Kirkpatrick et al., PNAS 2017; Schwarz et al., ICML 2018"
    Options = Options
    state_attributes = ("fisher", "anchor")
    needs_boundaries = True
    exemplar_free = True
    fisher: dict[str, Tensor] | None
    anchor: dict[str, Tensor] | None

    def loss(self, fresh: Batch, replay: Batch | None) -> Tensor:
        """L(fresh) + lambda / 2 sum_i F_i (theta_i - theta*_i)^2."""
        loss = self.cross_entropy(fresh).mean()
        if self.fisher is None or self.anchor is None:
            return loss
        weights = dict(self.learner.model.named_parameters())
        penalty = sum(
            (f * (weights[name] - self.anchor[name]) ** 2).sum() for name, f in self.fisher.items()
        )
        return loss + self.options.strength / 2 * penalty

    def after_training_exp(self) -> None:
        """Fisher information of the experience on top of the older ones'."""
        fisher = diagonal_fisher(self.learner, self.options.samples)
        if self.fisher is not None:
            fisher = {
                name: self.options.decay * self.fisher[name] + now for name, now in fisher.items()
            }
        self.fisher = fisher
        self.anchor = {
            name: weight.detach().clone() for name, weight in self.learner.model.named_parameters()
        }


STRATEGY = ElasticWeightConsolidation
