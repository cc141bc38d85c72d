"""Nearest-mean classification on features (Rebuffi et al., iCaRL, CVPR 2017)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from seit_cl.learner.interfaces import LearnerView


def fresh_features(learner: LearnerView) -> Iterator[tuple[Tensor, Tensor]]:
    """Features (B, width) and labels (B,) of the experience's samples, batch by batch."""
    for raw, labels in learner.fresh_samples():
        yield learner.raw_features(raw), labels


def feature_sums(parts: Iterable[tuple[Tensor, Tensor]], classes: int) -> Tensor:
    """Sums (C, D) of unit-length features by class; zero for a class without samples.

    Args:
        parts: features (B, D) and labels (B,), batch by batch; at least one batch.
        classes: C.
    """
    total = None
    for features, labels in parts:
        if total is None:
            total = features.new_zeros(classes, features.shape[1])
        total.index_add_(0, labels.to(features.device), F.normalize(features, dim=1))
    assert total is not None
    return total


def cosines_with_means(features: Tensor, sums: Tensor) -> Tensor:
    """Cosines (B, C) of features and class means, the largest of which is that of the nearest mean.

    Args:
        features: (B, D).
        sums: (C, D) from feature_sums; only their directions matter. A class without samples has
            the cosine -inf.
    """
    cosines = F.normalize(features, dim=1) @ F.normalize(sums, dim=1).T
    return cosines.masked_fill(~sums.any(1), -torch.inf)
