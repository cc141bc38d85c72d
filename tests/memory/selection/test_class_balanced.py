"""Class-balancing reservoir sampling: uniform within a class, balanced between classes."""

import numpy as np
import pytest

from helpers.memory_samples import budget_for, memory, samples
from helpers.policy_streams import offer_stream, stored
from seit_cl.memory.selection.base import SelectionPolicy
from seit_cl.memory.selection.class_balanced import ClassBalanced


def test_every_sample_of_a_class_stays_with_the_same_chance():
    stream = [(0, 1)] * 40 + [(1, 1)] * 40
    counts = np.zeros(80)
    for seed in range(3000):
        counts[stored(offer_stream("class-balanced", stream, 10, seed))] += 1
    for own in (counts[:40], counts[40:]):
        assert np.abs(own - own.mean()).max() < 5 * np.sqrt(own.mean())
    assert counts[:40].sum() == counts[40:].sum() == 3000 * 5


@pytest.mark.parametrize("costs", [(10,), (5, 8, 17)])
@pytest.mark.parametrize("shuffled", [False, True])
def test_classes_of_unequal_sizes_get_the_same_bytes(costs, shuffled):
    stream = []
    for label, size in enumerate([4000, 1000, 200, 600]):
        stream += [(label, costs[i % len(costs)]) for i in range(size)]
    if shuffled:
        order = np.random.default_rng(1).permutation(len(stream))
        stream = [stream[i] for i in order]
    slots = offer_stream("class-balanced", stream, 4000, 3).slots
    assert slots.total_cost > 4000 - 4 * 17
    # With records of one length, classes differ by at most two of them. Otherwise the bytes that
    # a class lacks change with every sample, in a random walk of a few records.
    records = 2 if len(costs) == 1 else 20
    assert slots.group_bytes.max() - slots.group_bytes.min() <= records * max(costs)


def test_balance_by_count_is_of_exemplars_and_balance_by_bytes_of_bytes():
    stream = [(i % 3, 4 if i % 3 else 20) for i in range(900)]
    by_count = offer_stream("class-balanced-count", stream, 1000, 0).slots
    assert by_count.group_counts.max() - by_count.group_counts.min() <= 6
    assert by_count.group_bytes[0] > 4 * by_count.group_bytes[1]
    by_bytes = offer_stream("class-balanced", stream, 1000, 0).slots
    assert by_bytes.group_bytes.max() - by_bytes.group_bytes.min() <= 100
    assert by_bytes.group_counts[1] > 4 * by_bytes.group_counts[0]


def test_new_classes_enter_a_full_memory_and_take_their_share():
    buffer = memory(budget_for(20))
    for label in range(5):
        buffer.offer(samples(100 * label, [label] * 50))
        counts = buffer.counts_per_class()[: label + 1]
        assert counts.sum() == 20
        assert counts.max() - counts.min() <= 2
        assert buffer.classes_covered == label + 1


def test_an_exemplar_of_the_largest_class_leaves_by_the_bytes_of_the_others():
    costs = np.array([4, 16, 30, 50])
    removed = np.zeros(4)
    seeds = 2000
    for seed in range(seeds):
        selection = offer_stream("class-balanced", [(0, int(cost)) for cost in costs], 100, seed)
        selection.shrink(99)
        removed += ~np.isin(np.arange(4), stored(selection))
    expected = (costs.sum() - costs) / (3 * costs.sum())
    assert np.abs(removed / seeds - expected).max() < 0.045


def test_records_of_one_length_leave_as_by_uniform_draws(monkeypatch):
    stream = [(i // 30, 10) for i in range(240)]
    with_bytes = [stored(offer_stream("class-balanced", stream, 400, seed)) for seed in range(5)]
    monkeypatch.setattr(ClassBalanced, "shrink_by_one", SelectionPolicy.shrink_by_one)
    uniform = [stored(offer_stream("class-balanced", stream, 400, seed)) for seed in range(5)]
    assert [rows.tolist() for rows in with_bytes] == [rows.tolist() for rows in uniform]


def test_short_and_long_records_of_a_class_stay_alike_where_a_class_has_few():
    classes, samples_of_each, seeds = 10, 20, 250
    long = np.random.default_rng(0).random((seeds, classes, samples_of_each)) < 0.5
    labels = np.repeat(np.arange(classes), samples_of_each).tolist()
    stays = np.zeros(long.shape, bool)
    for seed in range(seeds):
        costs = np.where(long[seed].ravel(), 120, 20).tolist()
        stream = list(zip(labels, costs, strict=True))
        stays[seed].ravel()[stored(offer_stream("class-balanced", stream, 3500, seed))] = True
    rates = [np.mean((stays & kind).sum(2) / kind.sum(2)) for kind in (long, ~long)]
    # Uniform draws from the largest class would differ by 0.04.
    assert abs(rates[0] - rates[1]) < 0.018
