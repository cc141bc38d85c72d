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

Seeds that happen to agree would give an interval of no width. So an interval of a mean takes the
spread that rounding to whole test images hides into account: a twelfth of the square of a step
(Sheppard, "On the Calculation of the most Probable Values of Frequency-Constants", Proceedings of
the London Mathematical Society 1898). A paired difference has a floor that knows the number of test
images: the exact McNemar test (McNemar, Psychometrika 1947; recommended for two classifiers by
Dietterich, Neural Computation 1998) compares the images that one of two runs alone has right. Runs
record counts and not answers, so that these are unknown; but with k more right answers the smallest
p-value that they allow is 2 * 0.5^k, where the other run is never right alone. It is above 0.05 up
to k = 5, so that no difference of up to INDISTINCT images shows anything, whichever they are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

from seit_cl.results.replicates import Replicate

CONFIDENCE = 0.95
INDISTINCT = 5  # test images, up to which the exact McNemar test tells no difference at 5 %
FEWEST_PAIRS = 3  # that a claim rests on
METHOD = (
    "95 % intervals by Student's t over runs; where runs share a class order or a seed, over "
    "clusters of these"
)
PAIRED_METHOD = (
    f"{METHOD}; those of differences reach at least {INDISTINCT} test images to either side, which "
    "the exact McNemar test cannot tell from none"
)


def claimed(mean: float, half: float, pairs: int) -> bool:
    """Return True if a paired difference may be called one.

    Args:
        mean: of the differences.
        half: half the width of its interval.
        pairs: number of pairs.
    """
    return pairs >= FEWEST_PAIRS and abs(mean) > half


def difference_interval(
    differences: Sequence[float], replicates: Sequence[Replicate], images: int
) -> tuple[float, float]:
    """Return the mean and half the width of the 95 % interval of paired differences.

    Args:
        differences: of accuracies, as fractions.
        replicates: seed and class order of each pair.
        images: number of test images behind an accuracy.

    Returns:
        mean, and half the width: nan for a single pair.
    """
    mean, half = mean_interval(differences, replicates)
    return mean, max(half, INDISTINCT / images)  # nan stays: it is the first


def mean_interval(
    values: Sequence[float],
    replicates: Sequence[Replicate] | None = None,
    step: float = 0.0,
) -> tuple[float, float]:
    """Return the mean and half the width of its 95 % confidence interval.

    Args:
        values: of n runs, or of n pairs of runs.
        replicates: seed and class order of each; None for independent values.
        step: the values are multiples of it, as accuracies are of one test image; 0: they are not.

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
    variance = max(variance, step**2 / 12 / array.size)
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
