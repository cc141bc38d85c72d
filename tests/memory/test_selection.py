"""Who stays: balance, uniformity, and independence of an exemplar's own length."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from helpers.memory_samples import kept, memory, room_for, samples
from seit_cl.memory import POLICIES
from seit_cl.memory.selection import SelectionPolicy

RANDOM = [policy for policy in POLICIES if policy != "herding"]  # which never draws


def run(
    policy: str, stream: list[tuple[int, int]], room: int, seed: int
) -> tuple[SelectionPolicy, list[int]]:
    """Offer (label, cost) pairs; the policy and the positions in the stream that stay."""
    stay: list[int] = []

    def evict(slot: int) -> None:
        stay[slot] = stay[-1]
        stay.pop()

    chosen = POLICIES[policy](max(label for label, _ in stream) + 1, seed, evict)
    chosen.begin(len(stream))
    for i, (label, cost) in enumerate(stream):
        if chosen.admit(label, cost, room):
            stay.append(i)
            chosen.add(len(stay) - 1, label, cost)
        assert chosen.used <= room
    return chosen, stay


@pytest.mark.parametrize("policy", POLICIES)
def test_everything_is_stored_until_one_does_not_fit(policy):
    chosen, stay = run(policy, [(0, 10)] * 10, 100, 0)
    assert stay == list(range(10)) and not chosen.full
    assert run(policy, [(0, 10)] * 11, 100, 0)[0].full


@pytest.mark.parametrize("policy", POLICIES)
def test_a_record_longer_than_the_budget_is_counted_and_skipped(policy):
    chosen, stay = run(policy, [(0, 10), (0, 101), (0, 10)], 100, 0)
    assert stay == [0, 2] and chosen.skipped == 1 and not chosen.full


def test_reservoir_is_uniform_over_the_stream():
    counts = np.zeros(60)
    for seed in range(3000):
        counts[run("reservoir", [(0, 1)] * 60, 12, seed)[1]] += 1
    expected = 3000 * 12 / 60
    assert np.abs(counts - expected).max() < 5 * np.sqrt(expected * 0.8)


def test_class_balanced_is_uniform_within_a_class():
    stream = [(0, 1)] * 40 + [(1, 1)] * 40
    counts = np.zeros(80)
    for seed in range(3000):
        counts[run("class-balanced", stream, 10, seed)[1]] += 1
    for own in (counts[:40], counts[40:]):
        assert np.abs(own - own.mean()).max() < 5 * np.sqrt(own.mean())
    assert counts[:40].sum() == counts[40:].sum() == 3000 * 5


@pytest.mark.parametrize("costs", [(10,), (5, 8, 17)])
def test_class_balanced_balances_bytes_under_imbalance(costs):
    sizes = [4000, 1000, 200, 600]
    stream = [
        (label, costs[i % len(costs)]) for label, size in enumerate(sizes) for i in range(size)
    ]
    order = np.random.default_rng(1).permutation(len(stream))
    for arrangement in (stream, [stream[i] for i in order]):
        chosen = run("class-balanced", arrangement, 4000, 3)[0]
        assert chosen.used > 4000 - 4 * 17
        # records of one length: within two of each other; else gaps wander between classes, a walk of a few records
        assert chosen.bytes.max() - chosen.bytes.min() <= (2 if len(costs) == 1 else 20) * max(
            costs
        )


@pytest.mark.parametrize("policy", RANDOM)
def test_staying_does_not_depend_on_the_own_length(policy):
    lengths = [4, 20]
    stream = [(i // 2 % 2, lengths[i * 7 // 3 % 2]) for i in range(400)]
    short = long = 0
    for seed in range(60):
        stay = run(policy, stream, 500, seed)[1]
        late = [i for i in stay if i > 200]
        short += sum(stream[i][1] == 4 for i in late)
        long += sum(stream[i][1] == 20 for i in late)
    offered = [sum(c == n for _, c in stream[201:]) for n in lengths]
    rates = short / offered[0], long / offered[1]
    assert abs(rates[0] / rates[1] - 1) < 0.15


def test_class_balanced_by_count_balances_exemplars_and_not_bytes():
    stream = [(i % 3, 4 if i % 3 else 20) for i in range(900)]
    by_count, by_bytes = (
        run(policy, stream, 1000, 0)[0] for policy in ("class-balanced-count", "class-balanced")
    )
    assert (
        by_count.counts.max() - by_count.counts.min() <= 6
        and by_count.bytes[0] > 4 * by_count.bytes[1]
    )
    assert (
        by_bytes.bytes.max() - by_bytes.bytes.min() <= 100
        and by_bytes.counts[1] > 4 * by_bytes.counts[0]
    )


@given(
    experiences=st.lists(
        st.lists(st.integers(1, 30), min_size=1, max_size=40), min_size=1, max_size=4
    ),
    room=st.integers(30, 400),
)
def test_herding_keeps_the_first_of_every_ranking_and_stops_when_the_bytes_do(experiences, room):
    """Two classes an experience, offered best first in turn; records of any length."""
    stream = [
        (2 * e + i % 2, cost) for e, costs in enumerate(experiences) for i, cost in enumerate(costs)
    ]
    chosen, stay = run("herding", stream, room, 0)
    for label, group in enumerate(chosen.groups):
        offered = [i for i, (own, _) in enumerate(stream) if own == label]
        assert [stay[slot] for slot in group] == offered[: len(group)]
    assert len(stay) == len(stream) or chosen.full


def test_new_classes_enter_a_full_memory_and_take_their_share():
    buffer = memory(room_for(20))
    for label in range(5):
        buffer.offer(samples(100 * label, [label] * 50))
        counts = buffer.counts_per_class()[: label + 1]
        assert (
            counts.sum() == 20
            and counts.max() - counts.min() <= 2
            and buffer.classes_covered == label + 1
        )


def test_fewer_records_than_classes_keeps_what_fits():
    for policy in POLICIES:
        buffer = memory(room_for(3, policy), policy=policy)
        for label in range(5):
            buffer.offer(samples(100 * label, [label] * 30))
            assert len(buffer) == 3
        assert 1 <= buffer.classes_covered <= 3


@pytest.mark.parametrize("policy", RANDOM)
def test_decisions_are_the_seeds_and_not_the_batchings(policy):
    labels = [i * i % 5 for i in range(200)]
    results = []
    for seed, batch in ((1, 200), (1, 7), (1, 1), (2, 200)):
        buffer = memory(room_for(15), policy=policy, seed=seed)
        for start in range(0, 200, batch):
            buffer.offer(samples(start, labels[start : start + batch]))
        results.append(kept(buffer))
    assert results[0] == results[1] == results[2] != results[3]


@pytest.mark.parametrize("policy", POLICIES)
def test_global_generators_are_left_alone(policy):
    torch.manual_seed(0)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    memory(room_for(5), policy=policy).offer(samples(0, [0, 1] * 20))
    assert (
        torch.equal(before[0], torch.get_rng_state())
        and (before[1] == np.random.get_state()[1]).all()
    )
