"""Herding: samples whose mean stays nearest to their class's, best first (Welling, 2009; Rebuffi et al., iCaRL, CVPR 2017)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def herding(features: Tensor) -> Tensor:
    """The order (N,) int64 in which samples of one class are chosen: each brings the mean of those chosen nearest to that of all.

    Args:
        features: (N, D); their lengths do not matter.
    """
    unit = F.normalize(features.double(), dim=1)
    mean = unit.mean(0)
    chosen = torch.empty(len(unit), dtype=torch.int64)
    left, total = torch.ones(len(unit), dtype=torch.bool), torch.zeros_like(mean)
    for k in range(len(unit)):
        # Nearest to the mean: all are of length one, so what is added must point where k + 1 means lack of the total.
        chosen[k] = (unit @ ((k + 1) * mean - total)).masked_fill(~left, -torch.inf).argmax()
        left[chosen[k]] = False
        total = total + unit[chosen[k]]
    return chosen


def best_first(features: Tensor, labels: Tensor) -> Tensor:
    """The order (N,) int64 to offer an experience in: every class's best, then every class's second, and so on.

    Args:
        features: (N, D).
        labels: (N,) int64.
    """
    rank = torch.empty(len(labels), dtype=torch.int64)
    for label in labels.unique():
        own = (labels == label).nonzero()[:, 0]
        rank[own[herding(features[own])]] = torch.arange(len(own))
    return rank.argsort(stable=True)
