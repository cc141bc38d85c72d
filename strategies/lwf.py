"""LwF: learning without forgetting (Li and Hoiem, ECCV 2016)."""

from dataclasses import dataclass

from torch import Tensor

from seit_cl.learner.batches import ForwardedBatch
from seit_cl.learner.interfaces import LearnerView
from seit_cl.learner.losses import distillation
from seit_cl.learner.search_space import Choices, LogUniform, searched
from seit_cl.learner.strategy import Strategy
from seit_cl.learner.strategy_state import Teacher


@dataclass(frozen=True)
class Options:
    """The paper's values (section 3)."""

    alpha: float = searched(1.0, LogUniform(0.1, 10.0))  # weight of the distillation, lambda_o
    temperature: float = searched(2.0, Choices(1.0, 2.0, 4.0))  # of the distillation


class LearningWithoutForgetting(Strategy):
    """Distillation of older classes on the fresh samples, without a memory."""

    paper = "Li and Hoiem, ECCV 2016"
    Options = Options
    state_attributes = ("teacher",)
    needs_boundaries = True
    exemplar_free = True
    capturable = True
    teacher: Teacher | None

    def loss(
        self, fresh: ForwardedBatch, replay: ForwardedBatch | None, learner: LearnerView
    ) -> Tensor:
        """Cross-entropy over all classes seen + alpha times the distillation of the older ones."""
        loss = self.cross_entropy(fresh).mean()
        if self.teacher is None:
            return loss
        teacher_logits = self.teacher.logits(fresh.inputs)
        older = distillation(fresh.logits, teacher_logits, self.options.temperature)
        return loss + self.options.alpha * older

    def after_training_exp(self, learner: LearnerView) -> None:
        """Make the teacher of the next experience."""
        self.teacher = Teacher(learner)


STRATEGY = LearningWithoutForgetting
