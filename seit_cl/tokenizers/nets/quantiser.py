"""Quantisers of features, fitted by faiss k-means: one codebook, product or residual quantisation.

Product quantisation: Jégou et al., TPAMI 2011; REMIND (Hayes et al., ECCV 2020) stores exemplars
with it. Residual quantisation: Chen et al., Sensors 2010, greedily level by level. Features are
centred and, on request, reduced to their principal components first.

Symbols: N positions, C features, D reduced dimensions, G codes of a position, K codes of a
codebook.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from seit_cl.core.errors import UserError

ITERATIONS = 25  # of k-means: the default of faiss
MAX_CODES = 1 << 15  # codes are int16
MAX_GROUPS = 256
EPS = 1e-6  # smallest variance of a component, as a fraction of the largest one


@dataclass(frozen=True)
class QuantiserSettings:
    """Settings of a quantiser.

    Args:
        kind: "km" has one codebook, "pq" one for each part of the dimensions, "rq" one for each
            residual.
        groups: G.
        codes: K.
        dim: number of principal components D; 0 uses the features themselves.
        whiten: scale all principal components to the same variance.
        seed: of k-means.
    """

    kind: Literal["km", "pq", "rq"]
    groups: int
    codes: int
    dim: int
    whiten: bool
    seed: int

    @property
    def combine(self) -> Literal["sum", "concat"]:
        """Operation that makes the embedding of a position from its G code vectors."""
        return "concat" if self.kind == "pq" else "sum"


def parse_sizes(kind: str, text: str) -> tuple[int, int]:
    """Parse "1024" or "8x256" to codes of a position G and codebook size K.

    Raises:
        UserError: another syntax, or a size out of range.
    """
    groups = 0
    codes = 0
    match = re.fullmatch(r"(?:(\d+)x)?(\d+)", text)
    if match:
        groups = int(match[1] or 1)
        codes = int(match[2])
    valid = 1 <= groups <= MAX_GROUPS and 2 <= codes <= MAX_CODES
    if not valid or (kind == "km" and groups != 1):
        example = "km=1024"
        if kind != "km":
            example = f"{kind}=4x256: 4 codes a position, 256 in each codebook"
        raise UserError(f"timm: {kind}={text}: write e.g. {example} (2 to {MAX_CODES} codes)")
    return groups, codes


class Quantiser:
    """An affine map of features to reduced features, then the nearest code of each codebook.

    Args:
        settings: see QuantiserSettings.
        mean: mean of the features (C,).
        matrix: from centred features to reduced ones (C, D).
        codebook: (G, K, D), or (G, K, D / G) for product quantisation.
    """

    def __init__(
        self, settings: QuantiserSettings, mean: Tensor, matrix: Tensor, codebook: Tensor
    ) -> None:
        self.settings = settings
        # Contiguous as a file returns them: other strides could give other rounding errors.
        self.mean = mean.contiguous()
        self.matrix = matrix.contiguous()
        self.codebook = codebook.contiguous()
        self.penalty = self.codebook.square().sum(2) / 2  # (G, K)

    def to(self, device: torch.device | str) -> None:
        """Move to a device, in place."""
        self.mean = self.mean.to(device)
        self.matrix = self.matrix.to(device)
        self.codebook = self.codebook.to(device)
        self.penalty = self.penalty.to(device)

    def reduce(self, features: Tensor) -> Tensor:
        """Reduced features (N, D) of features (N, C)."""
        return (features - self.mean) @ self.matrix

    def codes(self, features: Tensor) -> Tensor:
        """Nearest codes (N, G) int16 of features (N, C), the first of equally near ones."""
        reduced = self.reduce(features)
        product = self.settings.kind == "pq"
        parts = reduced.chunk(len(self.codebook), 1) if product else ()
        codes = []
        for group, codebook in enumerate(self.codebook):
            target = parts[group] if product else reduced
            nearest = (target @ codebook.T - self.penalty[group]).argmax(1)
            codes.append(nearest)
            if not product:
                reduced = reduced - codebook[nearest]
        return torch.stack(codes, 1).to(torch.int16)


def fit_quantiser(features: Tensor, settings: QuantiserSettings) -> Quantiser:
    """Fit a quantiser to features (N, C) float32; deterministic for the same features and seed.

    Raises:
        UserError: fewer features than codes, or dimensions that the parts cannot divide.
    """
    if len(features) < settings.codes:
        raise UserError(
            f"timm: {len(features):,} positions to fit {settings.codes} codes to; give more images "
            "or fewer codes"
        )
    mean, matrix = projection(features, settings)
    product = settings.kind == "pq"
    if product and matrix.shape[1] % settings.groups:
        raise UserError(
            f"timm: pq={settings.groups}x{settings.codes} cannot divide {matrix.shape[1]} "
            f"dimensions; choose dim= as a multiple of {settings.groups}"
        )
    residual = (features - mean) @ matrix
    parts = residual.chunk(settings.groups, 1) if product else ()
    codebooks = []
    with one_thread():
        for group in range(settings.groups):
            points = parts[group] if product else residual
            codebook = centroids(points, settings.codes, settings.seed + group)
            codebooks.append(codebook)
            if not product:
                penalty = codebook.square().sum(1) / 2
                nearest = (residual @ codebook.T - penalty).argmax(1)
                residual = residual - codebook[nearest]
    return Quantiser(settings, mean, matrix, torch.stack(codebooks))


def projection(features: Tensor, settings: QuantiserSettings) -> tuple[Tensor, Tensor]:
    """Mean (C,) and matrix (C, D) that reduce features (N, C) to principal components.

    The matrix is scaled so that the components have a mean square of 1 on average. For product
    quantisation, components are allocated to the parts so that the products of their variances
    are similar, which is optimal for Gaussian features (eigenvalue allocation: Ge et al.,
    Optimized Product Quantization, CVPR 2013).
    """
    centred = features.double()
    mean = centred.mean(0)
    centred = centred - mean
    if settings.dim == 0:
        matrix = torch.eye(centred.shape[1], dtype=torch.float64)
    else:
        matrix = _principal_components(centred, settings)
    scale = (centred @ matrix).square().mean().sqrt().clamp_min(1e-12)
    return mean.float(), (matrix / scale).float()


def _principal_components(centred: Tensor, settings: QuantiserSettings) -> Tensor:
    """Matrix (C, D) float64 from centred features (N, C) to their principal components."""
    values, vectors = torch.linalg.eigh(centred.T @ centred / len(centred))
    dim = min(settings.dim, len(values))
    values = values.flip(0)[:dim].clamp_min(0)
    matrix = vectors.flip(1)[:, :dim]
    # The sign of an eigenvector is arbitrary: make its largest entry positive.
    largest = matrix.abs().argmax(0)
    matrix = matrix * matrix.gather(0, largest[None]).sign()
    if settings.whiten:
        matrix = matrix / (values + EPS * values[0]).sqrt()
    if settings.kind == "pq" and dim % settings.groups == 0:
        matrix = matrix[:, allocation(values.tolist(), settings.groups)]
    return matrix


def allocation(values: list[float], groups: int) -> list[int]:
    """Order of components that gives the parts similar products of variances.

    Each component in turn goes to the part whose product of variances is smallest so far, among
    those that are not full.

    Args:
        values: variances of the components, in falling order.
        groups: number of parts.

    Returns:
        Indices of the components of the first part, then of the second, and so on.
    """
    size = len(values) // groups
    smallest = EPS * values[0]
    floor = float(np.log(smallest + 1e-300))
    parts: list[list[int]] = [[] for _ in range(groups)]
    log_products = [0.0] * groups
    for component, value in enumerate(values):
        open_parts = [group for group in range(groups) if len(parts[group]) < size]
        part = min(open_parts, key=lambda group: (log_products[group], group))
        parts[part].append(component)
        log_products[part] += float(np.log(value + smallest + 1e-300)) - floor
    order = []
    for components in parts:
        order += components
    return order


def centroids(points: Tensor, codes: int, seed: int) -> Tensor:
    """Centroids (K, D) float32 of points (N, D), by faiss k-means."""
    import faiss

    means: Any = faiss.Kmeans(
        points.shape[1], codes, niter=ITERATIONS, seed=seed, min_points_per_centroid=1
    )
    means.train(np.ascontiguousarray(points.float().numpy()))
    return torch.from_numpy(means.centroids.reshape(codes, -1).copy())


@contextmanager
def one_thread() -> Iterator[None]:
    """Run faiss on one thread inside the block, which makes its results deterministic."""
    import faiss

    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
