"""The quality that a lossy format stores at, chosen for a budget: fewer exemplars that are better, or more that are worse.

Memory Replay with Data Compression (MRDC, Wang et al., ICLR 2022) argues that neither quality nor number decides alone, and that
features can tell where to stop without training once per quality: it takes the lowest quality whose features keep the volume
of the originals', within a threshold. A volume does not see that stored images have moved away from fresh ones, and its
threshold does not know the budget. So the criterion here is what replay is for: a linear classifier learns from the features
of as many images as would fit, as they come back, and is tested on the features of fresh ones; the least squared error wins.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

import torch
from torch import Tensor
from torch.nn.functional import one_hot

CANDIDATES = (5, 10, 15, 25, 35, 50, 65, 75, 90)
FOLDS = 5
_AUTO = -(1 << 31)  # no library's quality
PENALTIES = (
    0.1,
    1.0,
    10.0,
    100.0,
)  # of the ridge regression, for features of unit length; the best of each quality counts


class Quality(int):
    """A quality, or AUTO, which is written "auto" and stands for one to be chosen."""

    WORDS = 'a whole number or "auto"'  # for messages

    def __new__(cls, text: str | int) -> Self:
        """From text.

        Raises:
            ValueError: neither a whole number nor "auto".
        """
        return super().__new__(cls, _AUTO if text == "auto" else text)

    def __str__(self) -> str:
        return "auto" if self == _AUTO else int.__repr__(self)

    __repr__ = __str__

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)


AUTO, USUAL = Quality("auto"), Quality(75)


def held_out_error(stored: Tensor, fresh: Tensor, labels: Tensor, fits: float) -> float:
    """Mean squared error, on fresh images, of a linear classifier of stored ones: over FOLDS folds, each image being fresh once.

    Args:
        stored, fresh: features (B, F) of the same images.
        labels: (B,) int64.
        fits: exemplars of each class in the memory; below 1, that share of the classes has one and the others are not known.
    """
    classes, target = labels.unique(return_inverse=True)
    targets = one_hot(target, len(classes)).double() - 1 / len(classes)
    rank = torch.zeros_like(labels)  # an image's number within its class
    for label in range(len(classes)):
        members = target == label
        rank[members] = torch.arange(int(members.sum()))
    x, y = (
        torch.cat([part.double(), part.new_ones(len(part), 1).double()], 1)
        for part in (stored, fresh)
    )
    totals = torch.zeros(len(PENALTIES), dtype=torch.double)
    for fold in range(FOLDS):
        held = rank % FOLDS == fold
        # Of the images of the other folds, the first in each class: they count rank - (those of this fold before them).
        place = rank - (rank + FOLDS - 1 - fold) // FOLDS
        known = ~held & (place < max(1, int(fits)))
        totals += torch.stack(
            [
                _error(x[known], targets[known], y[held], targets[held], penalty)
                for penalty in PENALTIES
            ]
        )
    guess = 1 - 1 / len(classes)  # the error of one who knows nothing
    learnt = min(float(totals.min()) / len(labels), guess)
    return learnt if fits >= 1 else fits * learnt + (1 - fits) * guess


def _error(x: Tensor, targets: Tensor, y: Tensor, wanted: Tensor, penalty: float) -> Tensor:
    """Summed squared error on (y, wanted) of a ridge regression of (x, targets)."""
    weights = torch.linalg.solve(
        x.T @ x + penalty * torch.eye(x.shape[1], dtype=x.dtype), x.T @ targets
    )
    return (y @ weights - wanted).square().sum()


def pick(
    encoded: Callable[[int], tuple[Tensor, float]],
    features: Callable[[Tensor], Tensor],
    pixels: Tensor,
    labels: Tensor,
) -> int:
    """The quality of CANDIDATES that suits a budget.

    Args:
        encoded: at a quality, images (B, 3, S, S) as they come back, and how many exemplars of each class would fit.
        features: of images (B, 3, S, S) uint8, (B, F), each of unit length.
        pixels: the images (B, 3, S, S) uint8.
        labels: (B,) int64.
    """
    fresh, errors = features(pixels), []
    for quality in CANDIDATES:
        back, fits = encoded(quality)
        errors.append((held_out_error(features(back), fresh, labels, fits), quality))
    return min(errors)[1]
