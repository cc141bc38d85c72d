"""Classes by the mean of their features (nearest mean of exemplars: Rebuffi et al., iCaRL, CVPR 2017)."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional as F


def feature_sums(parts: Iterable[tuple[Tensor, Tensor]], classes: int) -> Tensor:
    """Sums (C, D) of features of length one, class by class; zero for a class without samples.

    Args:
        parts: features (B, D) and labels (B,) of some samples each; at least one part.
        classes: C.
    """
    total = None
    for features, labels in parts:
        total = features.new_zeros(classes, features.shape[1]) if total is None else total
        total.index_add_(0, labels.to(features.device), F.normalize(features, dim=1))
    assert total is not None
    return total


def nearest_mean(features: Tensor, sums: Tensor) -> Tensor:
    """The class (B,) whose mean, made of length one, is nearest to each feature made of length one; never one without samples.

    Args:
        features: (B, D).
        sums: (C, D) from feature_sums; only their directions matter.
    """
    likeness = (
        F.normalize(features, dim=1) @ F.normalize(sums, dim=1).T
    )  # between vectors of length one: nearest is most alike
    return likeness.masked_fill(~sums.any(1), -torch.inf).argmax(1)
