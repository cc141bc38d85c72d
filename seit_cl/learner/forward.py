"""Forward passes in a chosen precision, with results in float32."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def float_logits(network: Callable[[Tensor], Tensor], inputs: Tensor, precision: str) -> Tensor:
    """Compute a network's logits (B, C) float32.

    Args:
        network: a model, or its head.
        inputs: the model's inputs (B, D, h, w), or the head's (B, width).
        precision: "fp32", or "bf16" for autocast.
    """
    with _autocast(inputs.device, precision):
        logits = network(inputs)
    return logits.float()


def float_features(model: Any, inputs: Tensor, precision: str) -> Tensor:
    """Compute the features (B, width) float32 in front of a network's head.

    Args:
        model: a `seit_cl.models.Network`.
        inputs: (B, D, h, w).
        precision: "fp32", or "bf16" for autocast.
    """
    with _autocast(inputs.device, precision):
        features: Tensor = model.features(inputs)
    return features.float()


def _autocast(device: torch.device, precision: str) -> torch.autocast:
    """Context of a forward pass.

    It keeps no copies of weights. A pass uses every weight once, and in an autocast context around
    the whole training, copies would outlive the steps that change the weights.
    """
    enabled = precision == "bf16"
    return torch.autocast(device.type, torch.bfloat16, enabled=enabled, cache_enabled=False)
