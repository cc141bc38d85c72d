"""DER++: Buzzega et al., "Dark experience for general continual learning", NeurIPS 2020."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from seit_cl.core.options import NOT_NEGATIVE
from seit_cl.learner.batches import ForwardedBatch
from seit_cl.learner.interfaces import LearnerView
from seit_cl.learner.search_space import LogUniform, searched
from seit_cl.learner.strategy import Strategy
from seit_cl.memory import TensorSpec


@dataclass(frozen=True)
class Options:
    """The authors' values for Tiny-ImageNet with 200 exemplars, their smallest memory.

    Mammoth's utils/best_args.py has alpha 0.1 and beta 1.0 for 200 exemplars, 0.2 and 0.5 for 500,
    0.1 and 0.5 for 5120. A tight budget holds some hundred exemplars.
    """

    # Weight of the distance between current and stored logits.
    alpha: float = searched(0.1, LogUniform(0.05, 1.0), NOT_NEGATIVE)
    # weight of the exemplars' cross-entropy
    beta: float = searched(1.0, LogUniform(0.25, 2.0), NOT_NEGATIVE)


class DarkExperienceReplay(Strategy):
    """Replay with a distance between an exemplar's logits and those stored with it in float16.

    Stored logits are those of the augmented sample in its first step, as in the paper, or with
    --fill after those of the plain sample at the end of its experience. Logits of classes not seen
    at that time are stored as nan and left out of the distance. Both terms use one draw of
    exemplars a step, where the paper draws twice.
    """

    paper = "Buzzega et al., NeurIPS 2020"
    several_ranks = True
    fill = "during"  # the paper's algorithm 2: reservoir sampling after every batch
    Options = Options
    disable_cutmix = True
    capturable = True

    def exemplar_fields(self, classes: int) -> Mapping[str, TensorSpec]:
        """Logits in float16: two bytes per class."""
        return {"logits": TensorSpec("float16", (classes,))}

    def extras(self, raw: Tensor, learner: LearnerView) -> dict[str, Tensor]:
        """The current logits, nan for classes not seen."""
        return self.stored(learner.raw_logits(raw), learner)

    def step_extras(self, raw: Tensor, logits: Tensor, learner: LearnerView) -> dict[str, Tensor]:
        """The logits of the step, as in the paper's algorithm 2."""
        return self.stored(logits, learner)

    def stored(self, logits: Tensor, learner: LearnerView) -> dict[str, Tensor]:
        """Logits (B, classes seen) with nan for all other classes."""
        unseen = len(learner.model.head.weight) - logits.shape[1]
        return {"logits": F.pad(logits, (0, unseen), value=torch.nan)}

    def loss(
        self, fresh: ForwardedBatch, replay: ForwardedBatch | None, learner: LearnerView
    ) -> Tensor:
        """L(fresh) + alpha ||z - z_stored||^2 + beta L(exemplars), the norm as a mean."""
        loss = self.cross_entropy(fresh).mean()
        if replay is None:
            return loss
        stored = replay.extras["logits"].float()[:, : replay.logits.shape[1]]
        is_stored = ~stored.isnan()
        squared = torch.where(is_stored, replay.logits - stored.nan_to_num(), 0.0) ** 2
        distance = squared.sum() / is_stored.sum().clamp_min(1)
        replay_loss = self.cross_entropy(replay).mean()
        return loss + self.options.alpha * distance + self.options.beta * replay_loss


STRATEGY = DarkExperienceReplay
