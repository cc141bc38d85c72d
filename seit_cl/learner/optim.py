"""The optimiser of the learner and its learning-rate schedule."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from timm.optim import param_groups_weight_decay
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from seit_cl.core.options import (
    AT_LEAST_1,
    NOT_NEGATIVE,
    POSITIVE,
    PROBABILITY,
    CheckedOptions,
    option,
)


@dataclass(frozen=True)
class Optimisation(CheckedOptions):
    """Options of training in each experience: AdamW, linear warm-up, then a cosine to zero.

    Weight decay leaves out biases, norms and the position embedding, as in DeiT and SeiT.
    `precision` is that of the forward pass (autocast); a learner needs "fp32" or "bf16".
    """

    epochs: int = option(10, "passes over each experience", AT_LEAST_1)
    learning_rate: float = option(5e-4, "peak learning rate of AdamW", POSITIVE)
    weight_decay: float = option(0.05, "weight decay of AdamW, on matrices", NOT_NEGATIVE)
    warmup: float = option(
        0.1, "fraction of an experience's steps for the warm-up of the learning rate", PROBABILITY
    )
    clip: float = option(1.0, "largest norm of the gradient; larger ones are scaled down", POSITIVE)
    precision: Literal["auto", "fp32", "bf16"] = option(
        "auto", "precision of the forward pass; auto: bf16 where the hardware has it"
    )


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


def adamw(
    model: nn.Module, options: Optimisation, steps: int
) -> tuple[torch.optim.Optimizer, LambdaLR]:
    """Build AdamW and its learning-rate schedule.

    Args:
        model: its `no_weight_decay()`, where it has one, names parameters without weight decay.
        options: learning rate, weight decay and warm-up.
        steps: of the experience, all epochs together.
    """
    no_decay: Any = getattr(model, "no_weight_decay", tuple)()
    groups = param_groups_weight_decay(model, options.weight_decay, no_weight_decay_list=no_decay)
    optimizer = torch.optim.AdamW(groups, lr=options.learning_rate, fused=True)
    return optimizer, LambdaLR(optimizer, warm_cosine(options, steps))
