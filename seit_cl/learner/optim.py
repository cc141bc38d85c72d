"""The optimiser of the learner and its learning-rate schedule."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from timm.optim import param_groups_weight_decay
from torch import Tensor, nn

from seit_cl.learner.settings import Optimisation


def warm_cosine(options: Optimisation, steps: int) -> Callable[[int], float]:
    """Schedule of the learning rate: a linear warm-up, then a cosine to zero.

    Args:
        options: gives the fraction of steps that warm up.
        steps: of the experience, all epochs together.

    Returns:
        A function from the step, counted from 0, to the share of the peak learning rate.
    """
    warmup_steps = max(1, round(options.warmup * steps))

    def share_of_peak(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / warmup_steps
        progress = (step - warmup_steps) / max(1, steps - warmup_steps)
        return 0.5 * (1 + math.cos(math.pi * progress))

    return share_of_peak


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


def adamw(
    model: nn.Module, options: Optimisation, steps: int
) -> tuple[torch.optim.Optimizer, Schedule]:
    """Build AdamW and its learning-rate schedule.

    Args:
        model: its `no_weight_decay()`, where it has one, names parameters without weight decay.
        options: learning rate, weight decay and warm-up.
        steps: of the experience, all epochs together.
    """
    no_decay: Any = getattr(model, "no_weight_decay", tuple)()
    groups = param_groups_weight_decay(model, options.weight_decay, no_weight_decay_list=no_decay)
    optimizer = torch.optim.AdamW(groups, lr=options.learning_rate, fused=True)
    return optimizer, Schedule(optimizer, warm_cosine(options, steps))


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
