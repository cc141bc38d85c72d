"""WA: weight alignment (Zhao et al., "Maintaining discrimination and fairness in class incremental
learning", CVPR 2020)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from seit_cl.core.options import NOT_NEGATIVE, POSITIVE, ranged
from seit_cl.learner.batches import ForwardedBatch
from seit_cl.learner.interfaces import LearnerView
from seit_cl.learner.losses import distillation
from seit_cl.learner.search_space import Choices, searched
from seit_cl.learner.strategy import Strategy
from seit_cl.learner.strategy_state import Teacher


@dataclass(frozen=True)
class Options:
    """The paper's temperature (section 4.1), and our limit."""

    temperature: float = searched(2.0, Choices(1.0, 2.0, 4.0), POSITIVE)  # of the distillation
    # largest factor of the new rows; 0: no limit, as in the paper
    max_gamma: float = ranged(1.0, NOT_NEGATIVE)


class WeightAligning(Strategy):
    """Replay and distillation, then the head's rows of new classes are scaled to the older norm.

    The paper's factor gamma (equation 11) shortens new rows, which are longer than the older ones
    there. With a short training under AdamW they are the shorter ones, gamma is above 1 and the
    alignment would favour new classes. By default gamma is at most 1, and short rows stay.

    The paper also clips the head's weights at zero, for features behind a ReLU. A ViT's features
    have both signs, and nothing is clipped here, whatever the model.
    """

    paper = "Zhao et al., CVPR 2020"
    several_ranks = True
    Options = Options
    state_attributes = ("teacher",)
    needs_boundaries = True
    capturable = True
    teacher: Teacher | None

    def loss(
        self, fresh: ForwardedBatch, replay: ForwardedBatch | None, learner: LearnerView
    ) -> Tensor:
        """(1 - l) cross-entropy + l distillation, l = older classes / classes seen."""
        hard = self.mean_cross_entropy(fresh, replay)
        if self.teacher is None:
            return hard
        batches = [batch for batch in (fresh, replay) if batch is not None]
        logits = torch.cat([batch.logits for batch in batches])
        teacher_logits = self.teacher.logits(torch.cat([batch.inputs for batch in batches]))
        soft = distillation(logits, teacher_logits, self.options.temperature)
        share = self.teacher.classes_seen / learner.classes_seen
        return (1 - share) * hard + share * soft

    def after_training_exp(self, learner: LearnerView) -> None:
        """Align the head, and make the aligned model the next experience's teacher."""
        if self.teacher is not None:
            align_new_rows(learner, self.teacher.classes_seen, self.options.max_gamma)
        self.teacher = Teacher(learner)


@torch.no_grad()
def align_new_rows(learner: LearnerView, older: int, max_gamma: float) -> None:
    """Scale the head's rows of new classes to the mean norm of the older ones, in place.

    Args:
        learner: its model's head is changed.
        older: number of older classes, the first rows.
        max_gamma: largest factor; 0: no limit.
    """
    rows = learner.model.head.weight[: learner.classes_seen]
    if older == len(rows):
        return
    norms = rows.norm(dim=1)
    gamma = norms[:older].mean() / norms[older:].mean()
    if max_gamma:
        gamma = gamma.clamp_max(max_gamma)
    rows[older:] *= gamma


STRATEGY = WeightAligning
