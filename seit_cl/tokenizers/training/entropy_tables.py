"""The tables of an EntropyModel: columns in groups, and scores by gradient descent.

Codes are grouped by their terms in the network's first layer (k-means).
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from seit_cl.formats.entropy.columns import NEIGHBOURS
from seit_cl.formats.entropy.model import TABLE_SHIFT
from seit_cl.formats.entropy.network import SCORE_BITS
from seit_cl.tokenizers.training.entropy_network import (
    MAX_WEIGHT,
    Draw,
    EntropyFitOptions,
    Layout,
    ProgressCallback,
    descend,
    mean_bits,
    rounded,
)

MAX_TABLES = 1 << 22  # numbers of tables with a row for each pair of groups
TRIED = 8  # a pair of columns is tried for this fraction of the steps of the tables


def fit_tables(
    stored: dict[str, Tensor],
    layout: Layout,
    log_frequencies: Tensor,
    options: EntropyFitOptions,
    draw: Draw,
    progress: ProgressCallback,
) -> dict[str, Tensor]:
    """Fit the tables of an EntropyModel, for the best pair of columns.

    Args:
        stored: the network's weights as integers.
        layout: of the code.
        log_frequencies: (K,), binary logarithms.
        options: of the fit.
        draw: a batch.
        progress: called after every step.

    Returns:
        left_groups, upper_groups, left and upper, and where a choice was made, table_pair.
    """
    pairs = layout.pairs
    if len(pairs) == 1 and not layout.length:
        return _fit_pair(pairs[0], stored, layout, log_frequencies, options, draw, progress)[0]
    best = pairs[0]
    if len(pairs) > 1:
        short = replace(options, steps=max(1, options.steps // TRIED))
        bits = {}
        for pair in pairs:
            _, bits[pair] = _fit_pair(pair, stored, layout, log_frequencies, short, draw, progress)
        best = min(pairs, key=lambda pair: bits[pair])
    tables, _ = _fit_pair(best, stored, layout, log_frequencies, options, draw, progress)
    return {**tables, "table_pair": torch.tensor(best)}


def _fit_pair(
    pair: tuple[int, int],
    stored: dict[str, Tensor],
    layout: Layout,
    log_frequencies: Tensor,
    options: EntropyFitOptions,
    draw: Draw,
    progress: ProgressCallback,
) -> tuple[dict[str, Tensor], float]:
    """Fit tables for a pair of columns; return them and their mean bits per token.

    Args:
        pair: numbers of the columns.
        stored, layout, log_frequencies, options, draw, progress: as of `fit_tables`.
    """
    groups = min(options.groups, math.isqrt(MAX_TABLES // layout.codes))
    left_groups, upper_groups = (
        _groups(column, stored, layout, options, groups) for column in pair
    )
    half = log_frequencies / 2
    left = half.repeat(int(left_groups.max()) + 1, 1).requires_grad_()
    upper = half.repeat(int(upper_groups.max()) + 1, 1).requires_grad_()
    unit = 1 << SCORE_BITS - TABLE_SHIFT

    def tables_loss(columns: Tensor, tokens: Tensor) -> Tensor:
        left_scores = rounded(left * unit).clamp(-MAX_WEIGHT - 1, MAX_WEIGHT)
        upper_scores = rounded(upper * unit).clamp(-MAX_WEIGHT - 1, MAX_WEIGHT)
        from_left = left_scores[left_groups[columns[:, pair[0]]]]
        from_upper = upper_scores[upper_groups[columns[:, pair[1]]]]
        return mean_bits((from_left + from_upper) * (1 << TABLE_SHIFT), tokens)

    rate = 10 * options.learning_rate
    bits = descend("tables", [left, upper], tables_loss, draw, options.steps, rate, progress)
    tables = {
        "left_groups": left_groups,
        "upper_groups": upper_groups,
        "left": _stored_scores(left, unit),
        "upper": _stored_scores(upper, unit),
    }
    return tables, bits


def _stored_scores(table: Tensor, unit: int) -> Tensor:
    """Scores of a table (T, K) as they are stored, int8."""
    scores = (table.detach() * unit).round()
    return scores.clamp(-MAX_WEIGHT - 1, MAX_WEIGHT).to(torch.int8)


def _groups(
    column: int, stored: dict[str, Tensor], layout: Layout, options: EntropyFitOptions, groups: int
) -> Tensor:
    """Group the values of a column, at most `groups` of them.

    Codes are grouped by their terms in the network's first layer; a neighbour's border, code K, has
    the last group to itself. Places of a sequence are grouped in their order.

    Returns:
        Groups (K + 1,) int64 of a neighbour, (K,) of an earlier code, (N,) of places.
    """
    size = stored["embedding"].shape[1]
    before = column - len(NEIGHBOURS)
    if before >= layout.known:
        count = min(groups, layout.length)
        return torch.arange(layout.length) * count // layout.length
    weights = stored["first"][:, column * size : (column + 1) * size]
    if before >= 0:
        terms = stored["earlier"][before] @ weights.T
        return cluster(terms, min(groups, len(terms)), options.seed)
    terms = (stored["embedding"] @ weights.T)[:-1]
    found = cluster(terms, min(groups - 1, len(terms)), options.seed)
    return torch.cat([found, found.max()[None] + 1])


def cluster(values: Tensor, count: int, seed: int) -> Tensor:
    """Cluster values (K, M) by k-means.

    Returns:
        Clusters (K,) int64, 0..count-1.
    """
    import faiss

    points = values.float().contiguous().numpy()
    means = faiss.Kmeans(points.shape[1], count, niter=50, seed=seed + 1, min_points_per_centroid=1)
    means.train(points)
    return torch.from_numpy(means.index.search(points, 1)[1][:, 0])
