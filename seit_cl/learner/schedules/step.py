"""step: lower the rate after given epochs."""

from __future__ import annotations

from dataclasses import dataclass

from seit_cl.core.errors import UserError
from seit_cl.core.options import NOT_NEGATIVE, ranged
from seit_cl.core.specs import NumberList
from seit_cl.learner.schedules.base import RateSchedule, ScheduleContext

_NO_EPOCHS = NumberList("")


@dataclass(frozen=True)
class StepOptions:
    """Options of step.

    Args:
        epochs: of an experience, after each of which the rate is multiplied by the factor.
        factor: of the rate.
    """

    epochs: NumberList = _NO_EPOCHS
    factor: float = ranged(0.1, NOT_NEGATIVE)


class Step(RateSchedule):
    """Multiply the rate by a factor after given epochs, e.g. step:epochs=30+60,factor=0.1."""

    source = "usual for ResNets: He et al., CVPR 2016"
    Options = StepOptions

    def __init__(self, options: StepOptions, context: ScheduleContext) -> None:
        """Build the schedule.

        Raises:
            UserError: no epochs, or one that the experience does not reach.
        """
        super().__init__(options, context)
        if not options.epochs:
            raise UserError(
                "--schedule step: after which epochs? Write e.g. step:epochs=30+60,factor=0.1"
            )
        for epoch in options.epochs:
            if not 0 < epoch < context.epochs:
                raise UserError(
                    f"--schedule step:epochs={options.epochs}: must be epochs within "
                    f"--epochs {context.epochs}, each above 0 and below it"
                )

    def share_of_peak(self, step: int) -> float:
        """The factor, to the power of how many of the named epochs have passed."""
        epochs_done = step * self.context.epochs / self.context.steps
        passed = sum(epoch <= epochs_done for epoch in self.options.epochs)
        return float(self.options.factor**passed)


SCHEDULE = Step
