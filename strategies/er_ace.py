"""ER-ACE: asymmetric cross-entropy (Caccia et al., "New insights on reducing abrupt representation change in online continual
learning", ICLR 2022)."""

import torch
from torch import Tensor

from seit_cl.learner.batches import Batch
from seit_cl.learner.strategy import Strategy


class ExperienceReplayACE(Strategy):
    """Fresh samples compete among the classes of their own batch only, so that they do not push older classes away; exemplars
    compete among all classes seen."""

    paper = "Caccia et al., ICLR 2022"
    disable_cutmix = True

    def loss(self, fresh: Batch, replay: Batch | None) -> Tensor:
        """L(fresh, classes of the batch) + L(exemplars, all classes), the paper's equation 3."""
        present = torch.zeros_like(fresh.logits[0], dtype=torch.bool).index_fill(
            0, fresh.labels, True
        )
        loss = self.cross_entropy(fresh, among=present).mean()
        return loss if replay is None else loss + self.cross_entropy(replay).mean()


STRATEGY = ExperienceReplayACE
