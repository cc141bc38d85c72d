"""Intervals of means over seeds and class orders, and how often they cover the truth."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from scipy import stats

from seit_cl.results.intervals import claimed, difference_interval, mean_interval
from seit_cl.results.replicates import Replicate

SAMPLES = 400  # simulated studies; the standard error of a coverage of 0.95 is 0.011


def crossed(seeds: int, orders: int) -> list[Replicate]:
    replicates = []
    for seed in range(seeds):
        replicates += [Replicate(seed, order) for order in range(orders)]
    return replicates


def nested(orders: int, seeds_of_each: int) -> list[Replicate]:
    return [Replicate(seed, seed // seeds_of_each) for seed in range(orders * seeds_of_each)]


def paired(seeds: int) -> list[Replicate]:
    return nested(seeds, 1)


def studies(
    replicates: Sequence[Replicate], order_effect: float, seed_effect: float
) -> list[np.ndarray]:
    """Accuracies of the runs of simulated studies; the true mean is 0, a run's own deviation 1."""
    random = np.random.default_rng(7)
    seed_of = [replicate.seed for replicate in replicates]
    order_of = [replicate.order for replicate in replicates]
    samples = []
    for _ in range(SAMPLES):
        seeds = seed_effect * random.standard_normal(max(seed_of) + 1)
        orders = order_effect * random.standard_normal(max(order_of) + 1)
        own = random.standard_normal(len(replicates))
        samples.append(own + seeds[seed_of] + orders[order_of])
    return samples


def coverage(
    samples: Sequence[np.ndarray], interval: Callable[[np.ndarray], tuple[float, float]]
) -> float:
    """The share of intervals that hold the true mean, 0."""
    halves = [interval(sample) for sample in samples]
    return sum(abs(mean) <= half for mean, half in halves) / len(halves)


@pytest.mark.parametrize(
    "replicates",
    [paired(5), nested(5, 2), nested(3, 3), crossed(2, 5), crossed(3, 3), crossed(3, 5)],
    ids=["5 paired", "5 orders of 2", "3 orders of 3", "2 x 5", "3 x 3", "3 x 5"],
)
@pytest.mark.parametrize(("order_effect", "seed_effect"), [(2, 0), (1, 1), (0, 0)])
def test_intervals_cover_the_truth_as_often_as_they_say(
    replicates: list[Replicate], order_effect: float, seed_effect: float
) -> None:
    samples = studies(replicates, order_effect, seed_effect)
    assert coverage(samples, lambda sample: mean_interval(sample, replicates)) > 0.925


def test_runs_that_share_class_orders_are_not_independent() -> None:
    replicates = nested(5, 4)
    samples = studies(replicates, order_effect=2, seed_effect=0)
    assert coverage(samples, mean_interval) < 0.8


def test_a_bootstrap_by_clusters_is_too_narrow_with_five_clusters() -> None:
    random = np.random.default_rng(1)

    def bootstrap(sample: np.ndarray) -> tuple[float, float]:
        clusters = sample.reshape(5, 4).mean(axis=1)
        means = clusters[random.integers(5, size=(400, 5))].mean(axis=1)
        low, high = np.quantile(means, [0.025, 0.975])
        return float(low + high) / 2, float(high - low) / 2

    samples = studies(nested(5, 4), order_effect=2, seed_effect=0)
    assert coverage(samples, bootstrap) < 0.9


def test_the_interval_of_clusters_is_students_over_their_means() -> None:
    values = [1.0, 3.0, 2.0, 6.0, 4.0, 8.0]
    mean, half = mean_interval(values, nested(3, 2))
    assert (mean, half) == pytest.approx(mean_interval([2.0, 4.0, 6.0]))


def test_an_interval_of_independent_values_is_students() -> None:
    mean, half = mean_interval([1.0, 2.0, 4.5])
    assert mean == pytest.approx(2.5)
    deviation = np.std([1.0, 2.0, 4.5], ddof=1)
    assert half == pytest.approx(4.3027 * deviation / math.sqrt(3), rel=1e-4)


def test_each_seed_with_a_class_order_of_its_own_is_independent() -> None:
    values = [1.0, 2.0, 4.5]
    assert mean_interval(values, paired(3)) == pytest.approx(mean_interval(values))
    assert mean_interval(values, crossed(3, 1)) == pytest.approx(mean_interval(values))
    assert mean_interval(values, crossed(1, 3)) == pytest.approx(mean_interval(values))


def test_crossed_runs_have_the_variance_of_two_random_effects() -> None:
    table = np.array([[1.0, 2.0, 4.0], [3.0, 5.0, 9.0]])  # seeds x class orders
    rows = table.mean(axis=1)
    columns = table.mean(axis=0)
    rest = table - rows[:, None] - columns + table.mean()
    of_runs = (rest**2).sum() / 2 / 6
    variance = rows.var(ddof=1) / 2 + columns.var(ddof=1) / 3 - of_runs
    _, half = mean_interval(table.ravel(), crossed(2, 3))
    quantile = half / math.sqrt(variance)
    assert 3.18 < quantile < 12.7  # Student's t of 3 and of 1 degrees of freedom


def test_a_single_value_has_no_interval() -> None:
    mean, half = mean_interval([2.0], [Replicate(0, 0)])
    assert mean == 2.0
    assert math.isnan(half)


def test_values_that_agree_have_the_interval_of_what_rounding_hides():
    _, half = mean_interval([20.0, 20.0, 20.0], step=1.0)
    assert half == pytest.approx(4.303 * math.sqrt(1 / 12 / 3), rel=1e-3)
    assert mean_interval([20.0, 24.0, 22.0], step=1.0) == mean_interval([20.0, 24.0, 22.0])


def test_no_claim_is_made_where_mcnemars_exact_test_could_make_none():
    for more in range(1, 12):  # images that one run alone has right, of 100
        mean, half = difference_interval([more / 100] * 4, paired(4), 100)
        smallest_p = stats.binomtest(more, more).pvalue
        assert claimed(mean, half, 4) == (smallest_p < 0.05)
