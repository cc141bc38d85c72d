"""constant: the peak learning rate."""

from __future__ import annotations

from seit_cl.learner.schedules.base import RateSchedule


class Constant(RateSchedule):
    """The peak in every step after the warm-up."""

    source = "usual in online learning"
    constant = True

    def share_of_peak(self, step: int) -> float:
        """1, in every step."""
        return 1.0


SCHEDULE = Constant
