"""The optimiser of the learner and its learning rates, step by step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from seit_cl.learner.optimizers import build_optimizer
from seit_cl.learner.schedules import build_schedule
from seit_cl.learner.settings import Optimisation


class Schedule:
    """Learning rates of an optimiser, step by step.

    The rates of groups with one peak are one tensor on the device, where there are recorded steps:
    they read new values from it, and setting it waits for nothing.

    Args:
        optimizer: its present learning rates are the peaks.
        share_of_peak: from the step, counted from 0, to a share of the peaks.
    """

    def __init__(
        self, optimizer: torch.optim.Optimizer, share_of_peak: Callable[[int], float]
    ) -> None:
        self.optimizer = optimizer
        self.share_of_peak = share_of_peak
        self.steps = 0
        self.peaks = [group.setdefault("peak", group["lr"]) for group in optimizer.param_groups]
        self._set()

    @property
    def rate(self) -> float:
        """Learning rate of the next step, of the first group."""
        return float(self.peaks[0] * self.share_of_peak(self.steps))

    def step(self) -> None:
        """Set the rates of the next step."""
        self.steps += 1
        self._set()

    @property
    def can_be_recorded(self) -> bool:
        """True if recorded steps read the rates of the moment: the optimiser is fused."""
        return all(group.get("fused") for group in self.optimizer.param_groups)

    def keep_on_device(self, device: torch.device) -> None:
        """Turn the rates of a fused optimiser into tensors on the device."""
        if not self.can_be_recorded:
            return
        tensors = {peak: torch.zeros((), device=device) for peak in self.peaks}
        for group, peak in zip(self.optimizer.param_groups, self.peaks, strict=True):
            group["lr"] = tensors[peak]
        self._set()

    def _set(self) -> None:
        share = self.share_of_peak(self.steps)
        filled: list[Tensor] = []
        for group, peak in zip(self.optimizer.param_groups, self.peaks, strict=True):
            if not isinstance(group["lr"], Tensor):
                group["lr"] = peak * share
            elif not any(group["lr"] is tensor for tensor in filled):
                group["lr"].fill_(peak * share)
                filled.append(group["lr"])


def optimizer_of(model: nn.Module, options: Optimisation) -> torch.optim.Optimizer:
    """Build the optimiser that the options name (`build_optimizer`)."""
    return build_optimizer(options.optimizer, model, options.learning_rate, options.weight_decay)


def schedule_of(options: Optimisation, steps: int) -> Callable[[int], float]:
    """Build the schedule that the options name (`build_schedule`), for that many steps."""
    return build_schedule(options.schedule, steps, options.epochs, options.warmup)


@contextmanager
def capturable(optimizer: torch.optim.Optimizer) -> Iterator[None]:
    """Declare that an optimiser's steps may be captured, as torch demands it during a capture.

    Fused optimisers work the same with and without it; outside of a capture torch warns of it.
    """
    groups = optimizer.param_groups
    before = [group.get("capturable", False) for group in groups]
    for group in groups:
        group["capturable"] = True
    try:
        yield
    finally:
        for group, value in zip(groups, before, strict=True):
            group["capturable"] = value
