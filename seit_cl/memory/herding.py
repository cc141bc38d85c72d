"""Herding (Welling, ICML 2009): rankings of samples whose means stay near the class mean."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def herding(features: Tensor) -> Tensor:
    """Rank the samples of one class, as iCaRL does (Rebuffi et al., CVPR 2017, algorithm 4).

    The next sample always brings the mean of those chosen nearest to the class mean.

    Args:
        features: (N, D); rows are normalised first.

    Returns:
        Sample indices (N,) int64, the best first.
    """
    unit = F.normalize(features.double(), dim=1)
    mean = unit.mean(0)
    order = torch.empty(len(unit), dtype=torch.int64)
    remaining = torch.ones(len(unit), dtype=torch.bool)
    total = torch.zeros_like(mean)
    for rank in range(len(unit)):
        # All rows have length one, so the nearest mean is that of the row which points most in the
        # direction that the total lacks.
        scores = unit @ ((rank + 1) * mean - total)
        order[rank] = scores.masked_fill(~remaining, -torch.inf).argmax()
        remaining[order[rank]] = False
        total = total + unit[order[rank]]
    return order


def herding_flops(features: Tensor, labels: Tensor) -> int:
    """FLOPs of `best_first`: a product of all features of a class for every sample of it.

    Args:
        features: (N, D).
        labels: (N,) int64.
    """
    counts = labels.bincount()
    return 2 * features.shape[1] * int((counts * counts).sum())


def best_first(features: Tensor, labels: Tensor) -> Tensor:
    """Order an experience for the herding policy: the best of every class, then the second best.

    Args:
        features: (N, D).
        labels: (N,) int64.

    Returns:
        Sample indices (N,) int64.
    """
    ranks = torch.empty(len(labels), dtype=torch.int64)
    for label in labels.unique():
        own = (labels == label).nonzero()[:, 0]
        ranks[own[herding(features[own])]] = torch.arange(len(own))
    return ranks.argsort(stable=True)
