"""Confidence intervals of means over runs that may share seeds or class orders.

Runs of one class order are alike, and so may be runs of one seed; an interval that took them for
independent would be too narrow. What is used depends on how seeds and class orders are combined:

- Seeds under one class order, class orders with one seed, or each seed with an order of its own:
  Student's t over runs.
- Several seeds for each class order, no seed with two orders (nested), or the reverse: Student's t
  over clusters, with the number of clusters minus one degrees of freedom (Ibragimov and Mueller,
  "t-Statistic Based Correlation and Heterogeneity Robust Inference", JBES 2010).
- Seeds crossed with class orders: both are random effects. The variance is the sum of those by
  clusters of either, minus that of the runs, which both count (Cameron, Gelbach and Miller, "Robust
  Inference With Multiway Clustering", JBES 2011); degrees of freedom by Satterthwaite (Biometrics
  Bulletin 1946).

A bootstrap by clusters (Field and Welsh, "Bootstrapping clustered data", JRSS B 2007) is not used:
with the few clusters that one can afford its intervals are too narrow (Cameron, Gelbach and Miller,
"Bootstrap-Based Improvements for Inference with Clustered Errors", REStat 2008).
tests/results/test_intervals.py simulates the coverage of both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

from seit_cl.results.replicates import Replicate

CONFIDENCE = 0.95
METHOD = (
    "95 % intervals by Student's t over runs; where runs share a class order or a seed, over "
    "clusters of these"
)


def mean_interval(
    values: Sequence[float], replicates: Sequence[Replicate] | None = None
) -> tuple[float, float]:
    """Return the mean and half the width of its 95 % confidence interval.

    Args:
        values: of n runs, or of n pairs of runs.
        replicates: seed and class order of each; None for independent values.

    Returns:
        mean, and half the width: nan for a single value.
    """
    array = np.asarray(values, dtype=float)
    if array.size == 0:
        return math.nan, math.nan
    mean = float(array.mean())
    if array.size < 2:
        return mean, math.nan
    if replicates is None:
        replicates = [Replicate(i, 0) for i in range(array.size)]
    variance, freedom = _variance_of_mean(array - mean, replicates)
    quantile = float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom))
    return mean, quantile * math.sqrt(variance)


def _variance_of_mean(
    deviations: np.ndarray, replicates: Sequence[Replicate]
) -> tuple[float, float]:
    """Return the variance of a mean and its degrees of freedom.

    Args:
        deviations: (n,) of the values from their mean.
        replicates: (n,).
    """
    seeds, seed_of = np.unique([one.seed for one in replicates], return_inverse=True)
    orders, order_of = np.unique([one.order for one in replicates], return_inverse=True)
    by_seed = _cluster_variance(deviations, seed_of)
    by_order = _cluster_variance(deviations, order_of)
    pairs = len(set(replicates))
    if pairs == 1:
        return math.nan, 1
    # Nested, or a single value of the other: clusters of one kind hold all that is alike.
    if len(orders) > 1 and (pairs == len(seeds) or len(seeds) == 1):
        return by_order, len(orders) - 1
    if len(seeds) > 1 and (pairs == len(orders) or len(orders) == 1):
        return by_seed, len(seeds) - 1
    of_runs, freedom_of_runs = _residual_variance(deviations, seed_of, order_of)
    # An estimate below that of either clustering is due to chance.
    variance = max(by_seed + by_order - of_runs, by_seed, by_order)
    spread = by_seed**2 / (len(seeds) - 1) + by_order**2 / (len(orders) - 1)
    if freedom_of_runs > 0:
        spread += of_runs**2 / freedom_of_runs
    fewest = min(len(seeds), len(orders)) - 1
    return variance, max(variance**2 / spread, fewest) if spread > 0 else fewest


def _cluster_variance(deviations: np.ndarray, cluster_of: np.ndarray) -> float:
    """Return the variance of the mean from the sums of clusters; 0 for a single cluster.

    For clusters of one size it is the variance of the clusters' means, divided by their number.
    """
    sums = np.bincount(cluster_of, weights=deviations)
    clusters = len(sums)
    if clusters < 2:
        return 0.0
    return float((sums**2).sum()) * clusters / (clusters - 1) / len(deviations) ** 2


def _residual_variance(
    deviations: np.ndarray, seed_of: np.ndarray, order_of: np.ndarray
) -> tuple[float, int]:
    """Return the variance of the mean that is due to single runs, and its degrees of freedom.

    What remains of the values after effects of seed and class order, by least squares.
    """
    rows = len(deviations)
    effects = np.zeros((rows, seed_of.max() + order_of.max() + 2))
    effects[np.arange(rows), seed_of] = 1
    effects[np.arange(rows), seed_of.max() + 1 + order_of] = 1
    solution, _, rank, _ = np.linalg.lstsq(effects, deviations, rcond=None)
    freedom = rows - int(rank)
    if freedom == 0:
        return 0.0, 0
    rest = deviations - effects @ solution
    return float((rest**2).sum()) / freedom / rows, freedom
