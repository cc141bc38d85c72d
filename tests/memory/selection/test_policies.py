"""Selection policies: the properties that every registered one has."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from helpers.memory_samples import budget_for, load, memory, samples, stored_ids
from helpers.policy_streams import POLICIES, RANDOM, offer_stream, stored
from seit_cl.core import plugins
from seit_cl.core.errors import UserError
from seit_cl.memory.selection import (
    PolicyContext,
    SelectionPolicy,
    build_policy,
    canonical_policy,
)

every_policy = pytest.mark.parametrize("policy", POLICIES)
every_random_policy = pytest.mark.parametrize("policy", RANDOM)


@every_policy
def test_everything_is_stored_until_one_sample_does_not_fit(policy):
    selection = offer_stream(policy, [(0, 10)] * 10, 100, 0)
    assert sorted(stored(selection)) == list(range(10))
    assert not selection.full
    assert offer_stream(policy, [(0, 10)] * 11, 100, 0).full


@every_policy
def test_a_record_longer_than_the_budget_is_counted_and_skipped(policy):
    selection = offer_stream(policy, [(0, 10), (0, 101), (0, 10)], 100, 0)
    assert sorted(stored(selection)) == [0, 2]
    assert selection.skipped == 1
    assert not selection.full


@every_random_policy
def test_the_chance_to_stay_does_not_depend_on_the_own_length(policy):
    lengths = [4, 20]
    stream = [(i // 2 % 2, lengths[i * 7 // 3 % 2]) for i in range(400)]
    costs = np.array([cost for _, cost in stream])
    stays = np.zeros(len(stream))
    for seed in range(60):
        stays[stored(offer_stream(policy, stream, 500, seed))] += 1
    late = np.arange(len(stream)) > 200
    short_rate = stays[late & (costs == 4)].mean()
    long_rate = stays[late & (costs == 20)].mean()
    assert abs(short_rate / long_rate - 1) < 0.15


@every_policy
def test_a_limit_on_the_number_makes_a_memory_full_while_bytes_are_free(policy):
    stream = [(i // 20, 10 + i * 7 % 5) for i in range(100)]
    selection = offer_stream(policy, stream, 10_000, 0, max_exemplars=12)
    assert len(selection.slots) == 12
    assert selection.full
    labels = selection.slots.column("label")
    if selection.by_class:
        assert sorted(np.bincount(labels, minlength=5)) == [2, 2, 2, 3, 3]


@every_policy
def test_a_limit_that_does_not_bind_changes_no_decision(policy):
    stream = [(i // 20, 10 + i * 7 % 5) for i in range(100)]
    unlimited = offer_stream(policy, stream, 200, 0)
    limited = offer_stream(policy, stream, 200, 0, max_exemplars=21)  # of 10 bytes or more
    assert stored(limited).tolist() == stored(unlimited).tolist()


@every_policy
def test_bytes_bind_below_a_limit_on_the_number(policy):
    selection = offer_stream(policy, [(i % 5, 10) for i in range(100)], 55, 0, max_exemplars=12)
    assert len(selection.slots) == 5


@every_random_policy
def test_with_a_limit_on_the_number_the_chance_to_stay_does_not_depend_on_the_length(policy):
    stream = [(i // 2 % 2, [4, 20][i * 7 // 3 % 2]) for i in range(400)]
    costs = np.array([cost for _, cost in stream])
    stays = np.zeros(len(stream))
    for seed in range(60):
        stays[stored(offer_stream(policy, stream, 10_000, seed, max_exemplars=40))] += 1
    late = np.arange(len(stream)) > 200
    short_rate = stays[late & (costs == 4)].mean()
    long_rate = stays[late & (costs == 20)].mean()
    assert abs(short_rate / long_rate - 1) < 0.15


@every_policy
def test_fewer_records_than_classes_still_fill_the_memory(policy):
    buffer = memory(budget_for(3, policy), policy=policy)
    for label in range(5):
        buffer.offer(samples(100 * label, [label] * 30))
        assert len(buffer) == 3
    assert 1 <= buffer.classes_covered <= 3


@every_random_policy
def test_decisions_depend_on_the_seed_and_not_on_the_batches(policy):
    labels = [i * i % 5 for i in range(200)]
    results = []
    for seed, batch in ((1, 200), (1, 7), (1, 1), (2, 200)):
        buffer = memory(budget_for(15), policy=policy, seed=seed)
        for start in range(0, 200, batch):
            buffer.offer(samples(start, labels[start : start + batch]))
        results.append(stored_ids(buffer))
    assert results[0] == results[1] == results[2] != results[3]


@every_policy
def test_global_generators_are_left_alone(policy):
    torch.manual_seed(0)
    torch_state = torch.get_rng_state()
    numpy_state = np.random.get_state()[1].copy()
    memory(budget_for(5), policy=policy).offer(samples(0, [0, 1] * 20))
    assert torch.equal(torch_state, torch.get_rng_state())
    assert (numpy_state == np.random.get_state()[1]).all()


@every_policy
def test_a_name_has_one_canonical_spelling(policy):
    assert canonical_policy(policy) == policy
    assert canonical_policy(policy.replace("-", "_")) == policy


def test_an_unknown_policy_is_refused_with_the_nearest_name():
    with pytest.raises(UserError, match="unknown policy 'reservoirs'; did you mean 'reservoir'"):
        build_policy("reservoirs", PolicyContext(classes=1, seed=0))


@dataclass(frozen=True)
class FirstOptions:
    share: float = 1.0


class First(SelectionPolicy):
    """Stores the first samples, and refuses all others; its option has no effect."""

    Options = FirstOptions
    paper = "none"

    def __init__(self, context, share):
        super().__init__(context)
        self.share = share

    @classmethod
    def build(cls, options, context):
        return cls(context, options.share)

    def decide(self, label, cost, capacity):
        return False

    def group_to_shrink(self):
        return 0


def test_a_policy_with_options_is_stored_with_them_and_rebuilt(tmp_path, monkeypatch):
    load_plugin = plugins.load
    monkeypatch.setattr(
        plugins, "load", lambda kind, name: First if kind == "policy" else load_plugin(kind, name)
    )
    buffer = memory(budget_for(5), policy="first_come:share=0.5")
    assert buffer.policy == "first-come:share=0.5"
    buffer.offer(samples(0, [0] * 20))
    buffer.save(tmp_path / "memory.bin")
    loaded = load(tmp_path / "memory.bin")
    assert loaded.policy == buffer.policy
    assert loaded.selection.share == 0.5
    assert stored_ids(loaded) == stored_ids(buffer) == list(range(len(buffer)))
