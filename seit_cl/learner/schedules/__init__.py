"""Schedules of the learning rate within an experience: one file each, found by name."""

from __future__ import annotations

from collections.abc import Callable

from seit_cl.core import plugins
from seit_cl.core.specs import Spec
from seit_cl.learner.schedules.base import RateSchedule, ScheduleContext

__all__ = ["RateSchedule", "ScheduleContext", "build_schedule", "is_constant"]


def build_schedule(spec: str, steps: int, epochs: int, warmup: float) -> Callable[[int], float]:
    """Build the schedule of an experience: a linear warm-up, then that of the spec.

    Args:
        spec: e.g. "cosine" or "step:epochs=30+60".
        steps: of the experience, all epochs together.
        epochs: of the experience.
        warmup: fraction of the steps that warm up; it takes one step or more.

    Returns:
        A function from the step, counted from 0, to the share of the peak learning rate.

    Raises:
        UserError: an unknown schedule or option, or options that do not fit the experience.
    """
    warmup_steps = max(1, round(warmup * steps))
    context = ScheduleContext(steps, epochs, warmup_steps)
    schedule: RateSchedule = plugins.build("schedule", spec, context)

    def share_of_peak(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / warmup_steps
        return schedule.share_of_peak(step)

    return share_of_peak


def is_constant(spec: str) -> bool:
    """True if the rate of a schedule stays at its peak after the warm-up.

    Raises:
        UserError: an unknown schedule.
    """
    return bool(plugins.load("schedule", Spec.parse(spec).name).constant)
