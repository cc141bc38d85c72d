"""cosine: from the peak to zero along half a cosine."""

from __future__ import annotations

import math

from seit_cl.learner.schedules.base import RateSchedule


class Cosine(RateSchedule):
    """Half a cosine over the steps after the warm-up."""

    source = "Loshchilov and Hutter, ICLR 2017, without restarts"

    def share_of_peak(self, step: int) -> float:
        """From 1 after the warm-up to 0 after the last step."""
        warmup_steps = self.context.warmup_steps
        progress = (step - warmup_steps) / max(1, self.context.steps - warmup_steps)
        return 0.5 * (1 + math.cos(math.pi * progress))


SCHEDULE = Cosine
