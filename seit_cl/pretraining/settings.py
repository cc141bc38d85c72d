"""The settings of a pre-training, without the code that runs it."""

from __future__ import annotations

from dataclasses import dataclass

from seit_cl.core.options import (
    AT_LEAST_1,
    NOT_NEGATIVE,
    POSITIVE,
    CheckedOptions,
    Range,
    option,
)

_SHARE = Range(lambda value: 0 < value < 1, "a fraction above 0 and below 1")


@dataclass(frozen=True)
class MaskingSettings(CheckedOptions):
    """Settings of masked modelling.

    The share of masked patches is SimMIM's (Xie et al., CVPR 2022); learning rate and weight decay
    are those that pre-training with labels has in `studies/factors`.
    """

    minutes: float = option(5.0, "wall-clock minutes of training", POSITIVE)
    steps: int = option(
        0, "optimiser steps, in place of --minutes; 0: the minutes count", NOT_NEGATIVE
    )
    batch: int = option(64, "images per step", AT_LEAST_1)
    mask: float = option(0.6, "share of an image's patches that are masked", _SHARE)
    learning_rate: float = option(1e-3, "peak learning rate of AdamW", POSITIVE)
    weight_decay: float = option(0.05, "weight decay of AdamW", NOT_NEGATIVE)
