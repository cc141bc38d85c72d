"""The memory as strategies and Avalanche use it."""

import pytest
import torch

from helpers.generators import generator
from helpers.memory_samples import (
    FIELDS,
    budget_for,
    extras,
    ids_of,
    memory,
    samples,
    stored_ids,
)
from seit_cl.core.errors import BudgetTooSmall, UserError
from seit_cl.memory import policy_names

every_policy = pytest.mark.parametrize("policy", policy_names())


@pytest.mark.parametrize("spec", ["tokens", "raw", "jpeg"])
def test_a_budget_of_one_byte_says_how_many_would_do(spec):
    with pytest.raises(BudgetTooSmall, match="give at least"):
        memory(1, spec)


@pytest.mark.parametrize("budget", [0, -5])
def test_a_memory_without_a_budget_is_refused(budget):
    with pytest.raises(UserError, match="must be positive"):
        memory(budget)


def test_a_budget_for_one_record_holds_one():
    buffer = memory(budget_for(1))
    buffer.offer(samples(0, [0, 1, 2, 3]))
    assert len(buffer) == 1
    assert buffer.used_bytes == buffer.budget_bytes
    with pytest.raises(BudgetTooSmall, match=f"at least {budget_for(1)} bytes"):
        memory(budget_for(1) - 1)


def test_an_unknown_policy_is_named():
    with pytest.raises(UserError, match="reservoir"):
        memory(1000, policy="reservoirs")


def test_exemplars_come_back_with_labels_and_extras():
    buffer = memory(budget_for(30) + 200, exemplar_fields=FIELDS)
    buffer.offer(samples(0, [i % 5 for i in range(60)]), extras(0, 60))
    batch = buffer.sample(10, generator())
    ids = torch.tensor(ids_of(batch.inputs))
    assert torch.equal(batch.labels, ids % 5)
    assert torch.equal(batch.extras["step"], ids.int())
    assert batch.extras["logits"].dtype == torch.float16
    assert torch.equal(batch.extras["logits"], extras(0, 60)["logits"][ids])


def test_extras_must_match_the_exemplar_fields():
    buffer = memory(5000, exemplar_fields=FIELDS)
    with pytest.raises(ValueError, match="stores"):
        buffer.offer(samples(0, [0]))
    with pytest.raises(ValueError, match="shape"):
        buffer.offer(samples(0, [0]), {"logits": torch.zeros(1, 4), "step": torch.zeros(1)})


def test_update_extras_changes_those_and_no_others():
    buffer = memory(5000, exemplar_fields=FIELDS)
    buffer.offer(samples(0, [0] * 8), extras(0, 8))
    buffer.update_extras(torch.tensor([2, 5]), {"step": torch.tensor([-1, -2])})
    assert buffer.by_ids(torch.arange(8)).extras["step"].tolist() == [0, 1, -1, 3, 4, -2, 6, 7]


def test_sampling_repeats_nothing_while_there_is_enough():
    buffer = memory(budget_for(100))
    buffer.offer(samples(0, [0] * 100))
    for n in (1, 10, 24, 26, 100):
        assert len(set(buffer.sample(n, generator(n)).ids.tolist())) == n
    assert len(buffer.sample(150, generator()).ids) == 150
    first, again = (buffer.sample(9, generator(3)).ids.tolist() for _ in range(2))
    assert first == again


@pytest.mark.parametrize("n", [3, 15, 60])
def test_sampling_is_uniform(n):
    buffer = memory(budget_for(40))
    buffer.offer(samples(0, [i % 5 for i in range(40)]))
    counts = torch.zeros(40)
    random = generator()
    for _ in range(2000):
        counts += torch.bincount(buffer.sample(n, random).ids, minlength=40)
    expected = 2000 * n / 40
    assert (counts - expected).abs().max() < 5 * expected**0.5


def test_an_empty_memory_cannot_be_sampled():
    with pytest.raises(UserError, match="empty"):
        memory(1000).sample(1, generator())


@every_policy
def test_by_class_gives_all_exemplars_of_a_class(policy):
    buffer = memory(budget_for(20), policy=policy)
    buffer.offer(samples(0, [i % 5 for i in range(100)]))
    for label in range(5):
        batch = buffer.by_class(label)
        assert set(batch.labels.tolist()) <= {label}
        assert len(batch.ids) == buffer.counts_per_class()[label]
        assert all(i % 5 == label for i in ids_of(batch.inputs))


def test_ids_of_no_exemplar_are_refused():
    buffer = memory(1000)
    buffer.offer(samples(0, [0, 1]))
    for wrong in (-1, 2):
        with pytest.raises(IndexError):
            buffer.by_ids(torch.tensor([wrong]))


def test_a_transform_runs_once_per_stored_exemplar():
    transformed = []

    def transform(tokens):
        transformed.extend(ids_of(tokens))
        return tokens.float() + 0.5

    buffer = memory(budget_for(20), transform=transform)
    for start in range(0, 200, 20):
        buffer.offer(samples(start, [start // 40] * 20))
        for step in range(5):
            batch = buffer.sample(8, generator(start + step))
            assert batch.inputs.dtype == torch.float32
            assert [i // 40 for i in ids_of(batch.inputs - 0.5)] == batch.labels.tolist()
    assert len(transformed) == len(set(transformed))


@pytest.mark.parametrize("spec", ["tokens", "jpeg"])
def test_the_bytes_of_all_kinds_sum_to_those_used(spec):
    buffer = memory(3000, spec, exemplar_fields=FIELDS)
    buffer.offer(samples(0, [0, 1] * 20), extras(0, 40))
    kinds = buffer.bytes_by_kind()
    assert sum(kinds.values()) == buffer.used_bytes
    assert min(kinds.values()) >= 0
    assert kinds["payload"] == buffer.payload_bytes
    assert (kinds["lengths"] > 0) == (spec == "jpeg")
    assert buffer.bytes_per_exemplar == buffer.used_bytes / len(buffer)
    assert buffer.working_bytes > 0


@every_policy
def test_resize_shrinks_by_the_policy(policy):
    buffer = memory(budget_for(50, policy), policy=policy)
    buffer.offer(samples(0, [i % 5 for i in range(50)]))
    buffer.resize(None, budget_for(20, policy))
    assert len(buffer) == 20
    assert buffer.used_bytes == buffer.budget_bytes == budget_for(20, policy)
    assert buffer.full
    if policy == "class-balanced":
        assert buffer.counts_per_class().tolist() == [4] * 5
    labels = buffer.by_ids(torch.arange(20)).labels.tolist()
    assert [i % 5 for i in stored_ids(buffer)] == labels
    with pytest.raises(BudgetTooSmall):
        buffer.resize(None, 10)


@pytest.mark.parametrize("spec", ["tokens", "jpeg"])
def test_avalanche_gets_a_snapshot(spec):
    buffer = memory(2000, spec)
    assert len(buffer.buffer) == 0
    buffer.offer(samples(0, [0, 1, 2] * 5))
    dataset = buffer.buffer
    expected = buffer.by_ids(torch.arange(len(buffer)))
    buffer.offer(samples(100, [3, 4] * 50))
    assert list(dataset.targets) == expected.labels.tolist()
    for i, (inputs, target, task) in enumerate(dataset):
        assert torch.equal(inputs, expected.inputs[i])
        assert target == expected.labels[i]
        assert task == 0
    assert len(buffer.buffer) == len(buffer)
    with pytest.raises(TypeError):
        buffer.buffer = dataset


def test_avalanche_experiences_fill_the_memory():
    source = memory(5000)
    source.offer(samples(0, [0, 1, 2] * 5))

    class Experience:
        dataset = source.buffer

    buffer = memory(5000)
    buffer.post_adapt(None, Experience())
    assert sorted(stored_ids(buffer)) == sorted(stored_ids(source))
    with pytest.raises(UserError, match="uint8"):
        memory(5000, "jpeg").post_adapt(None, Experience())
