"""WA: weight alignment (Zhao et al., "Maintaining discrimination and fairness in class incremental learning", CVPR 2020)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from seit_cl.learner.batches import Batch
from seit_cl.learner.losses import distillation
from seit_cl.learner.strategy import Strategy
from seit_cl.learner.strategy_state import Teacher


@dataclass(frozen=True)
class Options:
    """The paper's (section 4.1)."""

    temperature: float = 2.0  # of the distillation


class WeightAligning(Strategy):
    """Replay and distillation; after an experience the head's rows of new classes are scaled to the older ones' mean length.

    The paper also clips the head's weights at zero. That is meant for features behind a ReLU; a ViT's have both signs, and
    nothing is clipped here.
    """

    paper = "Zhao et al., CVPR 2020"
    Options = Options
    state_attributes = ("old_model",)
    needs_boundaries = True
    old_model: Teacher | None

    def loss(self, fresh: Batch, replay: Batch | None) -> Tensor:
        """(1 - l) cross-entropy + l distillation, l = older classes / classes seen."""
        batches = [batch for batch in (fresh, replay) if batch is not None]
        hard = torch.cat([self.cross_entropy(batch) for batch in batches]).mean()
        if self.old_model is None:
            return hard
        share = self.old_model.seen / self.learner.seen
        logits, inputs = (
            torch.cat([b.logits for b in batches]),
            torch.cat([b.inputs for b in batches]),
        )
        return (1 - share) * hard + share * distillation(
            logits, self.old_model.logits(inputs), self.options.temperature
        )

    @torch.no_grad()
    def after_training_exp(self) -> None:
        """Align, and keep the aligned model as the next experience's teacher."""
        if self.old_model is not None:
            rows = self.learner.model.head.weight[: self.learner.seen]
            length, older = rows.norm(dim=1), self.old_model.seen
            if older < len(rows):
                rows[older:] *= length[:older].mean() / length[older:].mean()
        self.old_model = Teacher(self.learner)


STRATEGY = WeightAligning
