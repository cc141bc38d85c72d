"""Experience replay: Chaudhry et al., "On tiny episodic memories in continual learning", 2019."""

from torch import Tensor

from seit_cl.learner.batches import ForwardedBatch
from seit_cl.learner.interfaces import LearnerView
from seit_cl.learner.strategy import Strategy


class ExperienceReplay(Strategy):
    """Cross-entropy over fresh samples and exemplars together."""

    paper = "Chaudhry et al., 2019"
    several_ranks = True
    fill = "during"  # the paper's algorithm 1 updates the memory after every batch
    capturable = True
    per_task_heads = True

    def loss(
        self, fresh: ForwardedBatch, replay: ForwardedBatch | None, learner: LearnerView
    ) -> Tensor:
        """Mean over all samples of the step."""
        return self.mean_cross_entropy(fresh, replay)


STRATEGY = ExperienceReplay
