"""Quantisers of features, fitted by faiss k-means: one codebook, product quantisation, residual quantisation.

Product quantisation: Jégou et al., TPAMI 2011; the way REMIND (Hayes et al., ECCV 2020) stores exemplars. Residual quantisation:
Chen et al., Sensors 2010, greedily level by level. Features are centred and, where asked for, reduced to their principal
components first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import faiss
import numpy as np
import torch
from torch import Tensor

from seit_cl.core.errors import UserError

ITERATIONS = 25  # of k-means: faiss' own default
MOST_CODES = 1 << 15
EPS = 1e-6


@dataclass(frozen=True)
class QuantiserSettings:
    """How features become codes.

    Args:
        kind: "km": one codebook; "pq": a codebook for each part of the dimensions; "rq": one for each residual.
        groups: codes of a position G.
        codes: codebook size K.
        dim: principal components kept, 0: the features as they are.
        whiten: whether these are brought to one variance.
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
        """How a position's G vectors become its embedding."""
        return "concat" if self.kind == "pq" else "sum"


def parse_sizes(kind: str, text: str) -> tuple[int, int]:
    """Codes of a position G and codebook size K of "1024" or "8x256".

    Raises:
        UserError: written otherwise, or out of range.
    """
    match = re.fullmatch(r"(?:(\d+)x)?(\d+)", text)
    groups, codes = (int(match[1] or 1), int(match[2])) if match else (0, 0)
    if not 1 <= groups <= 256 or not 2 <= codes <= MOST_CODES or (kind == "km" and groups != 1):
        example = (
            "km=1024" if kind == "km" else f"{kind}=4x256: 4 codes a position, 256 in each codebook"
        )
        raise UserError(f"timm: {kind}={text}: write e.g. {example} (2 to {MOST_CODES} codes)")
    return groups, codes


class Quantiser:
    """Codes of features: an affine map, then the nearest code of each codebook.

    Args:
        settings: see QuantiserSettings.
        mean: (C,) of the features.
        matrix: (C, D) from centred features to what is quantised.
        codebook: (G, K, D), or (G, K, D / G) for product quantisation.
    """

    def __init__(
        self, settings: QuantiserSettings, mean: Tensor, matrix: Tensor, codebook: Tensor
    ) -> None:
        # As a file gives them back: other strides could be rounded otherwise.
        self.settings, self.mean = settings, mean.contiguous()
        self.matrix, self.codebook = matrix.contiguous(), codebook.contiguous()
        self.penalty = self.codebook.square().sum(2) / 2  # (G, K)

    def to(self, device: torch.device | str) -> None:
        """Move to a device, in place."""
        self.mean, self.matrix = self.mean.to(device), self.matrix.to(device)
        self.codebook, self.penalty = self.codebook.to(device), self.penalty.to(device)

    def reduce(self, features: Tensor) -> Tensor:
        """What is quantised (N, D) of features (N, C)."""
        return (features - self.mean) @ self.matrix

    def codes(self, features: Tensor) -> Tensor:
        """Codes (N, G) int16 of features (N, C): in each codebook the nearest, the first of equally near ones."""
        reduced, found = self.reduce(features), []
        parts = reduced.chunk(len(self.codebook), 1) if self.settings.kind == "pq" else None
        for group, book in enumerate(self.codebook):
            target = parts[group] if parts else reduced
            nearest = (target @ book.T - self.penalty[group]).argmax(1)
            found.append(nearest)
            if not parts:
                reduced = reduced - book[nearest]
        return torch.stack(found, 1).to(torch.int16)


def fit_quantiser(features: Tensor, settings: QuantiserSettings) -> Quantiser:
    """Fit a quantiser to features (N, C) float32; the same features and seed give the same one.

    Raises:
        UserError: fewer features than codes, or dimensions that cannot be divided.
    """
    if len(features) < settings.codes:
        raise UserError(
            f"timm: {len(features):,} positions to fit {settings.codes} codes to; give more images or fewer codes"
        )
    mean, matrix = projection(features, settings)
    if settings.kind == "pq" and matrix.shape[1] % settings.groups:
        raise UserError(
            f"timm: pq={settings.groups}x{settings.codes} cannot divide {matrix.shape[1]} dimensions; choose dim= "
            f"as a multiple of {settings.groups}"
        )
    left, books = (features - mean) @ matrix, []
    parts = left.chunk(settings.groups, 1) if settings.kind == "pq" else None
    with one_thread():
        for group in range(settings.groups):
            points = parts[group] if parts else left
            book = centroids(points, settings.codes, settings.seed + group)
            books.append(book)
            if not parts:
                left = left - book[(left @ book.T - book.square().sum(1) / 2).argmax(1)]
    return Quantiser(settings, mean, matrix, torch.stack(books))


def projection(features: Tensor, settings: QuantiserSettings) -> tuple[Tensor, Tensor]:
    """Mean (C,) and matrix (C, D) of the affine map to principal components of about unit variance on average.

    For product quantisation components are dealt to the parts so that their variances have like products, as the optimal one
    of Gaussian features does (eigenvalue allocation: Ge et al., Optimized Product Quantization, CVPR 2013).
    """
    centred = features.double()
    mean = centred.mean(0)
    centred = centred - mean
    if settings.dim == 0:
        matrix = torch.eye(centred.shape[1], dtype=torch.float64)
    else:
        values, vectors = torch.linalg.eigh(centred.T @ centred / len(centred))
        dim = min(settings.dim, len(values))
        values, matrix = values.flip(0)[:dim].clamp_min(0), vectors.flip(1)[:, :dim]
        largest = matrix.abs().argmax(0)
        matrix = (
            matrix * matrix.gather(0, largest[None]).sign()
        )  # eigenvectors have no sign of their own
        if settings.whiten:
            matrix = matrix / (values + EPS * values[0]).sqrt()
        if settings.kind == "pq" and dim % settings.groups == 0:
            matrix = matrix[:, allocation(values.tolist(), settings.groups)]
    scale = (centred @ matrix).square().mean().sqrt().clamp_min(1e-12)
    return mean.float(), (matrix / scale).float()


def allocation(values: list[float], groups: int) -> list[int]:
    """An order of components of variances in falling order, part after part: each goes to the part, among those with room, whose
    variances have the least product so far."""
    room = len(values) // groups
    parts: list[list[int]] = [[] for _ in range(groups)]
    products = [0.0] * groups
    for place, value in enumerate(values):
        part = min(
            (g for g in range(groups) if len(parts[g]) < room), key=lambda g: (products[g], g)
        )
        parts[part].append(place)
        products[part] += float(np.log(value + EPS * values[0] + 1e-300)) - float(
            np.log(EPS * values[0] + 1e-300)
        )
    return [place for part in parts for place in part]


def centroids(points: Tensor, codes: int, seed: int) -> Tensor:
    """Centroids (K, D) float32 of points (N, D), by faiss k-means."""
    means: Any = faiss.Kmeans(
        points.shape[1], codes, niter=ITERATIONS, seed=seed, min_points_per_centroid=1
    )
    means.train(np.ascontiguousarray(points.float().numpy()))
    return torch.from_numpy(means.centroids.reshape(codes, -1).copy())


@contextmanager
def one_thread() -> Iterator[None]:
    """faiss on one thread, where it gives the same numbers every time."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
