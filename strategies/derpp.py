"""DER++: dark experience replay (Buzzega et al., "Dark experience for general continual learning", NeurIPS 2020)."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from seit_cl.learner.batches import Batch
from seit_cl.learner.strategy import Strategy
from seit_cl.memory import TensorSpec


@dataclass(frozen=True)
class Options:
    """The paper's for Tiny-ImageNet with 500 exemplars (recalled)."""

    alpha: float = 0.2  # weight of the distance between logits now and then
    beta: float = 0.5  # weight of the exemplars' cross-entropy


class DarkExperienceReplay(Strategy):
    """Every exemplar is stored with its logits, in float16, and the learner is held to them.

    They are those of the plain sample at the end of its experience; in the paper, which fills its memory during training, those
    of the augmented sample at some step. Logits of classes not seen then are stored as nan and left out of the distance. Both
    terms use the step's one draw of exemplars, where the paper draws twice.
    """

    paper = "Buzzega et al., NeurIPS 2020"
    Options = Options
    disable_cutmix = True

    def exemplar_fields(self, classes: int) -> Mapping[str, TensorSpec]:
        """Two bytes a class and exemplar."""
        return {"logits": TensorSpec("float16", (classes,))}

    def extras(self, raw: Tensor) -> dict[str, Tensor]:
        """The logits now."""
        logits, classes = self.learner.scores(raw), self.learner.model.num_classes
        return {"logits": F.pad(logits, (0, classes - logits.shape[1]), value=torch.nan)}

    def loss(self, fresh: Batch, replay: Batch | None) -> Tensor:
        """L(fresh) + alpha ||z - z_then||^2 + beta L(exemplars), the norm as a mean over logits known then."""
        loss = self.cross_entropy(fresh).mean()
        if replay is None:
            return loss
        then = replay.extras["logits"].float()[:, : replay.logits.shape[1]]
        known = ~then.isnan()
        squared = torch.where(known, replay.logits - then.nan_to_num(), 0.0) ** 2
        distance = squared.sum() / known.sum().clamp_min(1)
        return (
            loss
            + self.options.alpha * distance
            + self.options.beta * self.cross_entropy(replay).mean()
        )


STRATEGY = DarkExperienceReplay
