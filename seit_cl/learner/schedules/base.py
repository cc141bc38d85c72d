"""The contract of a schedule of the learning rate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from seit_cl.core.specs import NoOptions


@dataclass(frozen=True)
class ScheduleContext:
    """The part of a training that a schedule is for.

    Args:
        steps: of the experience, all epochs together.
        epochs: of the experience.
        warmup_steps: first steps, in which the rate rises linearly whatever the schedule.
    """

    steps: int
    epochs: int
    warmup_steps: int


class RateSchedule:
    """Base class of schedules: one file in this folder, which names its subclass SCHEDULE.

    Attributes:
        source: its publication, in a few words.
        Options: frozen dataclass of its options.
        constant: True if the rate stays at its peak after the warm-up, whatever the number of
            steps. A stream without boundaries takes no other one.
    """

    source: ClassVar[str] = ""
    Options: ClassVar[type[Any]] = NoOptions
    constant: ClassVar[bool] = False

    def __init__(self, options: Any, context: ScheduleContext) -> None:
        self.options = options
        self.context = context

    @classmethod
    def build(cls, options: Any, context: ScheduleContext) -> Self:
        """Build the schedule of an experience.

        Raises:
            UserError: options that do not fit the experience.
        """
        return cls(options, context)

    def share_of_peak(self, step: int) -> float:
        """The share of the peak learning rate in a step after the warm-up, counted from 0."""
        raise NotImplementedError
