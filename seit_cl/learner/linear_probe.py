"""Linear probe: logistic regression on frozen features (Alain and Bengio, ICLR Workshop 2017).

Its accuracy is what the features still tell about all classes, whatever the learner's own head has
forgotten (Davari et al., "Probing Representation Forgetting in Supervised and Unsupervised
Continual Learning", CVPR 2022).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

HELD_OUT = 0.2  # share of the training features that chooses the weight decay
DECAYS = tuple(10.0**power for power in range(-6, 1))
ITERATIONS = 200
SPLIT_SEED = 0


class Probe(NamedTuple):
    """A linear classifier of features.

    Args:
        weight: (C, width) float64.
        bias: (C,) float64.
        mean: (width,) of the training features.
        scale: (width,) that divides them.
        decay: its weight decay.
    """

    weight: Tensor
    bias: Tensor
    mean: Tensor
    scale: Tensor
    decay: float

    def predict(self, features: Tensor) -> Tensor:
        """Labels (N,) int64 of features (N, width)."""
        standardised = (features.double() - self.mean) / self.scale
        return (standardised @ self.weight.T + self.bias).argmax(1)

    def accuracy(self, features: Tensor, labels: Tensor) -> float:
        """The share of features (N, width) whose label (N,) it predicts."""
        return float((self.predict(features) == labels).double().mean())


def fit_probe(features: Tensor, labels: Tensor, classes: int) -> Probe:
    """Fit a probe whose weight decay is the best one on a held-out part of the same features.

    It is then fitted again to all of them. The part is the same for every run with as many.

    Args:
        features: (N, width) of training images.
        labels: (N,) int64.
        classes: C.
    """
    order = torch.randperm(len(features), generator=torch.Generator().manual_seed(SPLIT_SEED))
    held_out = order[: int(HELD_OUT * len(order))]
    rest = order[len(held_out) :]
    best = DECAYS[0]
    best_accuracy = -1.0
    start = None
    for decay in reversed(DECAYS):  # each starts from the solution of a larger weight decay
        start = _fit(features[rest], labels[rest], classes, decay, start)
        accuracy = start.accuracy(features[held_out], labels[held_out])
        if accuracy > best_accuracy:
            best = decay
            best_accuracy = accuracy
    return _fit(features, labels, classes, best)


def _fit(
    features: Tensor, labels: Tensor, classes: int, decay: float, start: Probe | None = None
) -> Probe:
    """Minimise the mean cross-entropy plus decay / 2 times the squared weights, by L-BFGS."""
    values = features.double()
    mean = values.mean(0)
    scale = values.std(0).clamp_min(1e-8)
    standardised = (values - mean) / scale
    weight = torch.zeros(classes, values.shape[1], dtype=torch.float64)
    bias = torch.zeros(classes, dtype=torch.float64)
    if start is not None:
        weight.copy_(start.weight)
        bias.copy_(start.bias)
    weight.requires_grad_()
    bias.requires_grad_()
    optimizer = torch.optim.LBFGS(
        [weight, bias], max_iter=ITERATIONS, tolerance_grad=1e-6, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        logits = standardised @ weight.T + bias
        loss = F.cross_entropy(logits, labels) + decay / 2 * weight.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return Probe(weight.detach(), bias.detach(), mean, scale, decay)
