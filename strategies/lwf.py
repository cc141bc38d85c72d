"""LwF: learning without forgetting (Li and Hoiem, ECCV 2016)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from seit_cl.core.options import NOT_NEGATIVE, POSITIVE
from seit_cl.learner.batches import ForwardedBatch
from seit_cl.learner.interfaces import LearnerView
from seit_cl.learner.losses import distillation
from seit_cl.learner.search_space import Choices, LogUniform, searched
from seit_cl.learner.strategy import Strategy
from seit_cl.learner.strategy_state import Teacher


@dataclass(frozen=True)
class Options:
    """The paper's temperature (section 3), and the weight and the competitors of PyCIL.

    The paper's weight is 1, for tasks with a head each. PyCIL's models/lwf.py, for one head without
    task labels, has 3, and classifies new samples among new classes.
    """

    # weight of the distillation, lambda_o
    alpha: float = searched(3.0, LogUniform(0.1, 10.0), NOT_NEGATIVE)
    temperature: float = searched(2.0, Choices(1.0, 2.0, 4.0), POSITIVE)  # of the distillation
    among_new: bool = True  # classify among the new classes; false: among all classes seen


class LearningWithoutForgetting(Strategy):
    """Distillation of older classes on the fresh samples, without a memory.

    Cross-entropy among the new classes leaves the older logits to distillation. Otherwise it pushes
    them down in every step, since no fresh sample is of an older class.
    """

    paper = "Li and Hoiem, ECCV 2016"
    several_ranks = True
    Options = Options
    state_attributes = ("teacher",)
    needs_boundaries = True
    exemplar_free = True
    capturable = True
    teacher: Teacher | None

    def loss(
        self, fresh: ForwardedBatch, replay: ForwardedBatch | None, learner: LearnerView
    ) -> Tensor:
        """Cross-entropy among the new classes + alpha times the distillation of the older ones."""
        if self.teacher is None:
            return self.cross_entropy(fresh).mean()
        among = None
        if self.options.among_new and self.teacher.classes_seen < learner.classes_seen:
            among = new_classes(fresh, self.teacher.classes_seen)
        loss = self.cross_entropy(fresh, among).mean()
        teacher_logits = self.teacher.logits(fresh.inputs)
        older = distillation(fresh.logits, teacher_logits, self.options.temperature)
        return loss + self.options.alpha * older

    def after_training_exp(self, learner: LearnerView) -> None:
        """Make the teacher of the next experience."""
        self.teacher = Teacher(learner)


def new_classes(fresh: ForwardedBatch, older: int) -> Tensor:
    """Classes (C,) bool that were not seen before, and those of the batch's samples.

    The latter are the same, except in streams in which classes come again.

    Args:
        fresh: with logits (B, C).
        older: number of classes seen before.
    """
    classes = fresh.logits.shape[1]
    is_new = torch.arange(classes, device=fresh.logits.device) >= older
    if fresh.targets is None:
        return is_new.index_fill(0, fresh.labels, True)
    return is_new | fresh.targets[:, :classes].any(0)


STRATEGY = LearningWithoutForgetting
