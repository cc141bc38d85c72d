"""RanPAC: random projections and pre-trained models for continual learning (McDonnell et al.,
NeurIPS 2023)."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from seit_cl.core.errors import UserError
from seit_cl.core.options import AT_LEAST_1, ranged
from seit_cl.core.rng import derive_seed
from seit_cl.learner.interfaces import LearnerView
from seit_cl.learner.prototypes import fresh_features
from seit_cl.learner.strategy import Strategy

# The paper's candidates for the strength of the ridge (algorithm 1).
RIDGES = tuple(10.0**power for power in range(-8, 9))
VALIDATION = 5  # one sample of so many chooses the ridge; the paper's share, 20 %


@dataclass(frozen=True)
class Options:
    """The paper projects to 10,000 dimensions, whose Gram matrix takes 400 MB."""

    # M of the projection; ours, for networks of small width
    dimensions: int = ranged(2000, AT_LEAST_1)
    adapt: bool = True  # take steps in the first experience, as the paper's phase 1


@dataclass
class Statistics:
    """Sums over samples from which ridge regression is solved.

    Args:
        gram: (M, M), sum of the outer products of projected features.
        sums: (M, C), sum of the outer products of projected features and one-hot labels.
        samples: number of samples.
    """

    gram: Tensor
    sums: Tensor
    samples: int = 0

    def add(self, hidden: Tensor, targets: Tensor) -> None:
        """Add samples: projected features (B, M) and one-hot labels (B, C)."""
        self.gram += hidden.T @ hidden
        self.sums += hidden.T @ targets
        self.samples += len(hidden)


class RandomProjection(Strategy):
    """Features through a random projection and a ReLU, classified by ridge regression.

    It keeps the projected features' Gram matrix and their sums by class, so that the classifier of
    all samples so far is solved anew after every experience. The network is trained in the first
    experience only. Made for pre-trained networks (--init, or weights=FILE of a timm network).
    """

    paper = "McDonnell et al., NeurIPS 2023"
    several_ranks = True
    Options = Options
    state_attributes = ("projection", "gram", "sums", "classifier", "ridge")
    exemplar_free = True
    needs_boundaries = True
    capturable = True
    projection: Tensor | None  # (D, M)
    gram: Tensor | None  # (M, M)
    sums: Tensor | None  # (M, C)
    classifier: Tensor | None  # (M, C)
    ridge: float | None

    def before_training_exp(self, learner: LearnerView) -> None:
        """Take no steps after the first experience."""
        if learner.experiences_finished > 0 or not self.options.adapt:
            learner.stop_training()

    def after_training_exp(self, learner: LearnerView) -> None:
        """Choose the ridge on the experience's samples, then solve for those of all experiences."""
        fitted, held_out = self.statistics(learner)
        self.ridge = best_ridge(fitted, held_out, self.ridge)
        gram = fitted.gram + held_out.gram
        sums = fitted.sums + held_out.sums
        if self.gram is not None and self.sums is not None:
            gram += self.gram
            sums[:, : self.sums.shape[1]] += self.sums
        self.gram = gram
        self.sums = sums
        self.classifier = solve_safely(gram, sums, self.ridge)

    def statistics(self, learner: LearnerView) -> tuple[Statistics, Statistics]:
        """Sums over the experience's samples: four of five, and the fifth."""
        parts = (self.no_samples(learner), self.no_samples(learner))
        seen = 0
        for hidden, targets in self.projected(learner):
            is_held_out = torch.arange(seen, seen + len(hidden)) % VALIDATION == VALIDATION - 1
            seen += len(hidden)
            rows = is_held_out.to(hidden.device)
            parts[0].add(hidden[~rows], targets[~rows])
            parts[1].add(hidden[rows], targets[rows])
        return parts

    def no_samples(self, learner: LearnerView) -> Statistics:
        """Sums over no samples, for the classes seen."""
        width = self.options.dimensions
        gram = torch.zeros(width, width, device=learner.device)
        return Statistics(gram, torch.zeros(width, learner.classes_seen, device=learner.device))

    def projected(self, learner: LearnerView) -> Iterator[tuple[Tensor, Tensor]]:
        """Projected features (B, M) and one-hot labels (B, C) of the experience's samples."""
        for features, labels in fresh_features(learner):
            targets = F.one_hot(labels, learner.classes_seen).float()
            yield self.project(features.to(learner.device)), targets.to(learner.device)

    def project(self, features: Tensor) -> Tensor:
        """Project features (B, D) to (B, M), the ReLU included.

        The projection is standard normal, drawn once from a generator of the run's seed. It counts
        as strategy_bytes.
        """
        if self.projection is None:
            generator = torch.Generator().manual_seed(derive_seed(self.context.seed, "projection"))
            shape = (features.shape[1], self.options.dimensions)
            self.projection = torch.randn(shape, generator=generator).to(features.device)
        return (features @ self.projection).relu()

    @property
    def can_score(self) -> bool:
        """True from the end of the first experience on."""
        return self.classifier is not None

    def scores(self, inputs: Tensor, learner: LearnerView) -> Tensor:
        """Outputs of the ridge regression."""
        assert self.classifier is not None
        return self.project(learner.features(inputs, "fp32")) @ self.classifier


def best_ridge(fitted: Statistics, held_out: Statistics, otherwise: float | None) -> float:
    """The ridge with the smallest squared error on held-out samples.

    Args:
        fitted: the samples that each candidate is solved for.
        held_out: others.
        otherwise: without held-out samples; None: 1.
    """
    default = 1.0 if otherwise is None else otherwise
    if fitted.samples == 0 or held_out.samples == 0:
        return default
    errors = {}
    for ridge in RIDGES:
        weights = solve(fitted.gram, fitted.sums, ridge)
        if weights is not None:
            # |H W - Y|^2 without |Y|^2, which all candidates share.
            quadratic = (weights * (held_out.gram @ weights)).sum()
            errors[ridge] = float(quadratic - 2 * (weights * held_out.sums).sum())
    return min(errors, key=errors.__getitem__, default=default)


def solve_safely(gram: Tensor, sums: Tensor, ridge: float) -> Tensor:
    """`solve` with the ridge, or with ten times as much for as long as that is too little.

    Raises:
        UserError: the features are not finite.
    """
    if not bool(torch.isfinite(gram).all()):
        raise UserError("--strategy ranpac: features are not finite; lower --learning-rate")
    weights = solve(gram, sums, ridge)
    while weights is None:
        ridge *= 10
        weights = solve(gram, sums, ridge)
    return weights


def solve(gram: Tensor, sums: Tensor, ridge: float) -> Tensor | None:
    """Solve (G + ridge I) W = Q for W (M, C) by Cholesky, in float64.

    Returns:
        W in float32; None where the matrix is not positive in this precision.
    """
    identity = torch.eye(len(gram), dtype=torch.float64, device=gram.device)
    factor, failed = torch.linalg.cholesky_ex(gram.double() + ridge * identity)
    if bool(failed):
        return None
    return torch.cholesky_solve(sums.double(), factor).float()


STRATEGY = RandomProjection
