"""LwF: learning without forgetting (Li and Hoiem, ECCV 2016)."""

from dataclasses import dataclass

from torch import Tensor

from seit_cl.learner.batches import Batch
from seit_cl.learner.losses import distillation
from seit_cl.learner.strategy import Strategy
from seit_cl.learner.strategy_state import Teacher


@dataclass(frozen=True)
class Options:
    """The paper's (section 3)."""

    alpha: float = 1.0  # weight of the distillation, lambda_o
    temperature: float = 2.0  # of the distillation


class LearningWithoutForgetting(Strategy):
    """No memory: on the fresh samples, the learner is to say of the older classes what it said before the experience."""

    paper = "Li and Hoiem, ECCV 2016"
    Options = Options
    state_attributes = ("old_model",)
    needs_boundaries = True
    exemplar_free = True
    old_model: Teacher | None

    def loss(self, fresh: Batch, replay: Batch | None) -> Tensor:
        """Cross-entropy over all classes seen + alpha times the distillation of the older ones."""
        loss = self.cross_entropy(fresh).mean()
        if self.old_model is None:
            return loss
        return loss + self.options.alpha * distillation(
            fresh.logits, self.old_model.logits(fresh.inputs), self.options.temperature
        )

    def after_training_exp(self) -> None:
        """The teacher of the next experience."""
        self.old_model = Teacher(self.learner)


STRATEGY = LearningWithoutForgetting
