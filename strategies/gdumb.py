"""GDumb: greedy sampler and dumb learner (Prabhu et al., ECCV 2020)."""

from torch import Tensor

from seit_cl.learner.batches import ForwardedBatch
from seit_cl.learner.interfaces import LearnerView
from seit_cl.learner.strategy import Strategy


class GDumb(Strategy):
    """Train a new network on the class-balanced memory alone after every experience.

    Its steps follow the stream: the network tested after experience t has taken as many steps, of
    batches as large, as any other strategy's by then, so that a run of T experiences takes
    (T + 1) / 2 times the steps. The memory keeps a random part of a class (class-balanced
    reservoir); the paper's keeps a class's first samples.
    """

    paper = "Prabhu et al., ECCV 2020"
    several_ranks = True
    trains_on_memory = True
    may_repeat_samples = True
    policies = ("class-balanced", "class-balanced-count")
    capturable = True
    per_task_heads = True

    def before_training_exp(self, learner: LearnerView) -> None:
        """Start from scratch."""
        learner.reset_model()

    def loss(
        self, fresh: ForwardedBatch, replay: ForwardedBatch | None, learner: LearnerView
    ) -> Tensor:
        """Mean cross-entropy; both batches are exemplars."""
        return self.mean_cross_entropy(fresh, replay)


STRATEGY = GDumb
