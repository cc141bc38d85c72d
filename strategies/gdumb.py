"""GDumb: greedy sampler and dumb learner (Prabhu et al., ECCV 2020)."""

import torch
from torch import Tensor

from seit_cl.learner.batches import Batch
from seit_cl.learner.strategy import Strategy


class GDumb(Strategy):
    """After every experience a new network is trained on the memory alone, which holds as much of every class as can be.

    Its steps follow the stream: the network tested after experience t has taken as many steps, of batches as large, as any
    other strategy's by then, so a run of T experiences takes (T + 1) / 2 times the steps. The memory keeps a random part of a
    class (class-balanced reservoir); the paper's keeps a class's first samples.
    """

    paper = "Prabhu et al., ECCV 2020"
    data = "memory"
    policies = ("class-balanced", "class-balanced-count")

    def before_training_exp(self) -> None:
        """From scratch."""
        self.learner.start_over()

    def loss(self, fresh: Batch, replay: Batch | None) -> Tensor:
        """Mean cross-entropy; both batches are exemplars."""
        return torch.cat(
            [self.cross_entropy(batch) for batch in (fresh, replay) if batch is not None]
        ).mean()


STRATEGY = GDumb
