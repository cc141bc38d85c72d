"""The optimiser of the learner and its learning-rate schedule."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from timm.optim import param_groups_weight_decay
from torch import nn
from torch.optim.lr_scheduler import LambdaLR


@dataclass(frozen=True)
class Optimisation:
    """How each experience is optimised: AdamW, linear warm-up, cosine to zero.

    Args:
        epochs: passes over an experience's fresh samples.
        learning_rate: peak.
        weight_decay: AdamW's; as in DeiT and SeiT not on biases, norms and the position embedding.
        warmup: fraction of the steps.
        clip: largest gradient norm.
        precision: "fp32" or "bf16" (autocast of the forward pass).
    """

    epochs: int
    learning_rate: float
    weight_decay: float
    warmup: float
    clip: float
    precision: str


def warm_cosine(settings: Optimisation, steps: int) -> Callable[[int], float]:
    """The share of the peak learning rate at each of an experience's steps (from 0): a linear warm-up, then a cosine to zero."""
    warm = max(1, round(settings.warmup * steps))

    def rate(step: int) -> float:
        if step < warm:
            return (step + 1) / warm
        return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))

    return rate


def adamw(
    model: nn.Module, settings: Optimisation, steps: int
) -> tuple[torch.optim.Optimizer, LambdaLR]:
    """Optimiser and schedule of a model for an experience of so many steps."""
    spared: Any = getattr(model, "no_weight_decay", tuple)()
    groups = param_groups_weight_decay(model, settings.weight_decay, no_weight_decay_list=spared)
    optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate, fused=True)
    return optimizer, LambdaLR(optimizer, warm_cosine(settings, steps))
