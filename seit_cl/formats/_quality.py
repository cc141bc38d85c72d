"""Quality of a lossy format, chosen for a budget: more exemplars or better ones.

Memory Replay with Data Compression (MRDC, Wang et al., ICLR 2022) argues that neither quality nor
number decides alone, and that features can find the balance without a training run per quality. It
takes the lowest quality whose features keep the volume of the originals' within a threshold. But a
volume does not show that stored images have moved away from fresh ones, and the threshold does not
depend on the budget.

The criterion here is a small replay. A part of the classes plays the new ones, seen fresh; the
others are older ones, known from as many decoded images as would fit. A linear classifier learns
from both with equal weight, as from the two halves of a training step, and is tested on fresh
images of all classes. So it may mistake the traces of compression for a sign of older classes, as
a learner does. The quality with the least squared error is chosen.
"""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor
from torch.nn.functional import one_hot

CANDIDATES = (5, 10, 15, 25, 35, 50, 65, 75, 90)
ONE_CLASS = 25  # chosen where a single class leaves nothing to tell apart
FOLDS = 5
PARTS = 4  # of the classes, each of which plays the new ones once
_AUTO = -(1 << 31)  # outside every library's range
# Of the ridge regression, for features of unit length; the best one of each quality counts.
PENALTIES = (0.1, 1.0, 10.0, 100.0)


class Quality(int):
    """A quality, or AUTO, written "auto", for one that is to be chosen."""

    WORDS = 'a whole number or "auto"'  # in error messages

    def __new__(cls, text: str | int) -> Self:
        """Read a quality.

        Raises:
            ValueError: the text is neither a whole number nor "auto".
        """
        return super().__new__(cls, _AUTO if text == "auto" else text)

    def __str__(self) -> str:
        return "auto" if self == _AUTO else int.__repr__(self)

    __repr__ = __str__

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)


AUTO = Quality("auto")
DEFAULT_QUALITY = Quality(75)


def replay_error(
    stored: Tensor, fresh: Tensor, labels: Tensor, exemplars_per_class: float
) -> float:
    """Mean squared error on fresh images of a linear classifier that was trained with replay.

    Every class is new in one of PARTS parts, and every image is tested in one of FOLDS folds.

    Args:
        stored: (B, F), features of decoded images.
        fresh: (B, F), features of the same images before they were encoded.
        labels: (B,) int64.
        exemplars_per_class: exemplars of each class that the memory holds. Below 1, that share of
            the classes has one exemplar and the others have none.
    """
    count = int(exemplars_per_class)
    parts = min(PARTS, len(labels.unique()))
    if count >= 1:
        return classifier_error(stored, fresh, labels, count, parts)
    one = classifier_error(stored, fresh, labels, 1, parts)
    none = classifier_error(stored, fresh, labels, 0, parts)
    return exemplars_per_class * one + (1 - exemplars_per_class) * none


def classifier_error(
    stored: Tensor, fresh: Tensor, labels: Tensor, exemplars: int, parts: int
) -> float:
    """`replay_error` with a whole number of exemplars of each older class.

    Args:
        stored, fresh, labels: as there.
        exemplars: of each older class.
        parts: of the classes, each of which is new once; 0: all classes are older ones.
    """
    classes, class_index = labels.unique(return_inverse=True)
    targets = one_hot(class_index, len(classes)).double() - 1 / len(classes)
    rank = _rank_in_class(class_index, len(classes))
    decoded = _with_constant(stored)
    tested = _with_constant(fresh)
    totals = torch.zeros(len(PENALTIES), dtype=torch.double)
    divisions = _new_classes(class_index, parts)
    for is_new in divisions:
        x = torch.where(is_new[:, None], tested, decoded)
        for fold in range(FOLDS):
            in_fold = rank % FOLDS == fold
            # Rank within the other folds: an image's rank less those of this fold before it.
            training_rank = rank - (rank + FOLDS - 1 - fold) // FOLDS
            training = ~in_fold & (is_new | (training_rank < exemplars))
            scale = _equal_weights(is_new[training]).sqrt()[:, None]
            weights = _ridge(scale * x[training], scale * targets[training])
            errors = tested[in_fold] @ weights - targets[in_fold]
            totals += errors.square().sum((1, 2))
    return float(totals.min()) / (len(divisions) * len(labels))


def _new_classes(class_index: Tensor, parts: int) -> list[Tensor]:
    """Masks (B,) of the samples whose class is new, one for each part of the classes."""
    if parts == 0:
        return [torch.zeros_like(class_index, dtype=torch.bool)]
    return [class_index % parts == part for part in range(parts)]


def _equal_weights(is_new: Tensor) -> Tensor:
    """Weights (N,) of samples, 1 on average, with equal sums for new and older classes."""
    new = is_new.double()
    shares = new / new.sum().clamp(min=1) + (1 - new) / (1 - new).sum().clamp(min=1)
    return shares * len(shares) / shares.sum().clamp(min=1e-12)


def _rank_in_class(class_index: Tensor, classes: int) -> Tensor:
    """Number (B,) of each image among those of its class, from 0, by order."""
    rank = torch.zeros_like(class_index)
    for index in range(classes):
        members = class_index == index
        rank[members] = torch.arange(int(members.sum()))
    return rank


def _with_constant(features: Tensor) -> Tensor:
    """Features (B, F) with a column of ones, (B, F + 1) float64."""
    return torch.cat([features.double(), features.new_ones(len(features), 1).double()], 1)


def _ridge(x: Tensor, targets: Tensor) -> Tensor:
    """Weights (P, F, C) of ridge regressions from x (N, F) to targets (N, C), one per penalty."""
    penalties = torch.tensor(PENALTIES, dtype=x.dtype)[:, None, None]
    gram = x.T @ x + penalties * torch.eye(x.shape[1], dtype=x.dtype)
    return torch.linalg.solve(gram, (x.T @ targets).expand(len(PENALTIES), -1, -1))
