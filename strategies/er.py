"""Experience replay (Chaudhry et al., "On tiny episodic memories in continual learning", 2019)."""

import torch
from torch import Tensor

from seit_cl.learner.batches import Batch
from seit_cl.learner.strategy import Strategy


class ExperienceReplay(Strategy):
    """Cross-entropy over fresh samples and exemplars together."""

    paper = "Chaudhry et al., 2019"

    def loss(self, fresh: Batch, replay: Batch | None) -> Tensor:
        """Mean over all samples of the step."""
        losses = [self.cross_entropy(batch) for batch in (fresh, replay) if batch is not None]
        return torch.cat(losses).mean()


STRATEGY = ExperienceReplay
