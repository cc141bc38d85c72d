"""Batches: steps follow the fresh data, and each kind of randomness has its own generator."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from seit_cl.core.rng import Generators
from seit_cl.learner.batches import (
    Batch,
    BatchMaker,
    MemoryLoader,
    PluginLoader,
    ReplayLoader,
    joined_inputs,
    split_outputs,
)

CPU = torch.device("cpu")


class NumberMemory:
    """The part of a memory that batches need: n exemplars of 2 x 4 x 4 numbers."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def sample(self, n: int, generator: torch.Generator) -> Batch:
        ids = torch.randint(self.count, (n,), generator=generator)
        return Batch(numbers(ids), ids % 3, ids)

    def by_ids(self, ids: Tensor) -> Batch:
        return Batch(numbers(ids), ids % 3, ids)


def numbers(ids: Tensor) -> Tensor:
    """Raw data (B, 2, 4, 4) that is a sample's id everywhere."""
    return ids[:, None, None, None].expand(len(ids), 2, 4, 4).float()


def maker(cutmix_p: float, seed: int = 0) -> BatchMaker:
    """A batch maker whose augmentation adds noise, so that its generator shows in the inputs."""

    def augment(raw: Tensor, generator: torch.Generator | None, train: bool = True) -> Tensor:
        return raw.float() + torch.rand(raw.shape, generator=generator)

    return BatchMaker(augment, 3, cutmix_p, 1.0, CPU, Generators(seed))


def epoch(
    cutmix_p: float = 0.0, exemplars: int = 0, replay_batch: int = 2, seed: int = 0
) -> list[tuple[Batch, Batch | None]]:
    """All steps of an epoch of ten fresh samples, four a step."""
    ids = torch.arange(10)
    memory = NumberMemory(exemplars) if exemplars else None
    make = maker(cutmix_p, seed)
    return list(ReplayLoader(make, numbers, ids, ids % 3, 4, replay_batch, memory))


@pytest.mark.parametrize("exemplars", [0, 1, 1000])
def test_steps_follow_the_fresh_data_whatever_the_memory_holds(exemplars: int) -> None:
    steps = epoch(exemplars=exemplars)
    assert [len(fresh.labels) for fresh, _ in steps] == [4, 4, 2]
    assert torch.cat([fresh.ids for fresh, _ in steps]).sort().values.tolist() == list(range(10))
    assert all((replay is None) == (exemplars == 0) for _, replay in steps)


@pytest.mark.parametrize(
    "other", [{"exemplars": 7}, {"exemplars": 7, "replay_batch": 5}, {"exemplars": 900}]
)
def test_replay_changes_no_fresh_sample(other: dict[str, int]) -> None:
    for (fresh, _), (again, _) in zip(epoch(0.5), epoch(0.5, **other), strict=True):
        assert torch.equal(fresh.inputs, again.inputs)
        assert torch.equal(fresh.ids, again.ids)


def test_cutmix_changes_neither_the_order_nor_the_crops() -> None:
    for (plain, _), (mixed, _) in zip(epoch(0.0), epoch(1.0), strict=True):
        assert torch.equal(plain.ids, mixed.ids)
        assert mixed.targets is not None
        unmixed_share = (mixed.inputs == plain.inputs).flatten(1).float().mean(1)
        label_share = mixed.targets[torch.arange(len(mixed.ids)), mixed.labels]
        assert bool((label_share >= unmixed_share - 1e-6).all())


def test_cutmix_mixes_as_many_batches_as_asked_for() -> None:
    mixed = 0
    for seed in range(200):
        mixed += sum(fresh.targets is not None for fresh, _ in epoch(0.3, seed=seed))
    assert 0.23 < mixed / 600 < 0.37


def test_the_fresh_and_the_replayed_part_never_mix_with_each_other() -> None:
    for fresh, replay in epoch(1.0, exemplars=5):
        assert replay is not None
        for batch in (fresh, replay):
            assert batch.targets is not None
            absent = torch.ones(3, dtype=torch.bool)
            absent[batch.labels] = False
            assert float(batch.targets[:, absent].sum()) == 0.0


def test_a_joint_forward_pass_is_split_into_the_two_batches_again() -> None:
    fresh, replay = epoch(exemplars=5)[0]
    inputs, labels = joined_inputs(fresh, replay)
    features = inputs.flatten(1)
    fresh_outputs, replay_outputs = split_outputs(fresh, replay, features * 2, features)
    assert replay is not None
    assert replay_outputs is not None
    for batch, outputs in ((fresh, fresh_outputs), (replay, replay_outputs)):
        assert torch.equal(outputs.labels, batch.labels)
        assert outputs.features is not None
        assert torch.equal(outputs.features, batch.inputs.flatten(1))
        assert torch.equal(outputs.logits, 2 * outputs.features)
    assert labels.tolist() == [*fresh.labels.tolist(), *replay.labels.tolist()]


def test_training_on_the_memory_takes_the_steps_of_the_fresh_samples() -> None:
    steps = list(MemoryLoader(maker(0.0), NumberMemory(3), 4, 2, samples=10))
    assert [len(first.labels) for first, _ in steps] == [4, 4, 4]
    assert [len(second.labels) for _, second in steps if second is not None] == [2, 2, 2]


def test_a_plugins_loader_ends_with_the_steps_of_the_fresh_data() -> None:
    def endless() -> Iterator[list[Tensor]]:
        while True:
            yield [numbers(torch.arange(6)), torch.arange(6) % 3, torch.zeros(6)]

    steps = list(PluginLoader(endless(), maker(0.0), steps=2))
    assert [len(batch.labels) for batch, _ in steps] == [6, 6]
    assert all(replay is None for _, replay in steps)
