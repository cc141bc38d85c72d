"""ER-ACE: Caccia et al., "New insights on reducing abrupt representation change in online continual
learning", ICLR 2022."""

import torch
from torch import Tensor

from seit_cl.learner.batches import ForwardedBatch
from seit_cl.learner.interfaces import LearnerView
from seit_cl.learner.strategy import Strategy


class ExperienceReplayACE(Strategy):
    """Asymmetric cross-entropy: fresh samples do not push the classes of exemplars away.

    Fresh samples compete among the classes of their own batch; exemplars among all classes seen.
    """

    paper = "Caccia et al., ICLR 2022"
    several_ranks = True
    fill = "during"  # as in the authors' code (AML, methods/er.py), which replays them at once
    disable_cutmix = True
    capturable = True

    def loss(
        self, fresh: ForwardedBatch, replay: ForwardedBatch | None, learner: LearnerView
    ) -> Tensor:
        """L(fresh, classes of the batch) + L(exemplars, all classes), the paper's equation 3."""
        classes = fresh.logits.shape[1]
        present = torch.zeros(classes, dtype=torch.bool, device=fresh.logits.device)
        present = present.index_fill(0, fresh.labels, True)
        loss = self.cross_entropy(fresh, among=present).mean()
        if replay is None:
            return loss
        return loss + self.cross_entropy(replay).mean()


STRATEGY = ExperienceReplayACE
