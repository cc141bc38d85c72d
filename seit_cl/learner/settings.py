"""The options of training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from seit_cl.core.options import (
    AT_LEAST_1,
    NOT_NEGATIVE,
    POSITIVE,
    PROBABILITY,
    CheckedOptions,
    option,
)

Fill = Literal["after", "during", "before"]  # times at which the memory is offered samples


@dataclass(frozen=True)
class Optimisation(CheckedOptions):
    """Options of training in each experience.

    Weight decay leaves out biases, norms and the position embedding, as in DeiT and SeiT.
    `precision` is that of the forward pass (autocast); a learner needs "fp32" or "bf16".
    """

    epochs: int = option(10, "passes over each experience", AT_LEAST_1)
    optimizer: str = option(
        "adamw",
        "adamw, sgd:momentum=0.9,nesterov=true, or another one of timm.optim with its options",
    )
    learning_rate: float = option(5e-4, "peak learning rate", POSITIVE)
    weight_decay: float = option(
        0.05, "weight decay, of all weights but biases and norms", NOT_NEGATIVE
    )
    schedule: str = option(
        "cosine",
        "learning rate of an experience after the warm-up: cosine (to 0), constant, or "
        "step:epochs=30+60,factor=0.1; without boundaries it is constant",
    )
    warmup: float = option(
        0.1, "fraction of an experience's steps for the warm-up of the learning rate", PROBABILITY
    )
    clip: float = option(
        1.0, "largest norm of the gradient; larger ones are scaled down; 0: no limit", NOT_NEGATIVE
    )
    precision: Literal["auto", "fp32", "bf16"] = option(
        "auto", "precision of the forward pass; auto: bf16 where the hardware has it"
    )
