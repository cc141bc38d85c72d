"""Messages that a run sends to its observers: after every step and after every experience."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from seit_cl.memory.buffer import ByteBudgetBuffer


@dataclass(frozen=True)
class StepInfo:
    """Progress of a run after a training step.

    Args:
        experience: index of the experience, from 0.
        experiences: number of experiences.
        epoch: of the experience, from 0.
        epochs: number of epochs of an experience.
        step: of the epoch, from 1.
        steps: number of steps of an epoch.
        samples: fresh samples and exemplars trained on in this experience so far.
        seconds: time spent on this experience so far.
        total_steps: steps of the whole run so far.
        loss: (1,) of the step, on the device; reading it waits for the device.
        learning_rate: of the next step.
        fresh_ids: (B,) train set indices of the step's fresh samples, on the device.
    """

    experience: int
    experiences: int
    epoch: int
    epochs: int
    step: int
    steps: int
    samples: int
    seconds: float
    total_steps: int
    loss: Tensor
    learning_rate: float
    fresh_ids: Tensor


@dataclass(frozen=True)
class ExperienceInfo:
    """Results of a run when an experience is committed.

    Args:
        experience: index of the experience, from 0.
        total_steps: training steps of the whole run so far.
        accuracy: all rows of accuracy.csv so far.
        memory: the replay memory, or None.
    """

    experience: int
    total_steps: int
    accuracy: Sequence[dict[str, Any]]
    memory: ByteBudgetBuffer | None
