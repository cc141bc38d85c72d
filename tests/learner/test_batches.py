"""Batches: steps follow the fresh data, and each kind of randomness has its own generator."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from seit_cl.core.rng import Generators
from seit_cl.learner.augment.draws import Layout, Numbers
from seit_cl.learner.batches import Batch, BatchMaker, RawStep, StepBatches
from seit_cl.learner.loaders import MemoryLoader, PluginLoader, ReplayLoader
from seit_cl.memory import Exemplars

CPU = torch.device("cpu")


class NumberMemory:
    """The part of a memory that batches need: n exemplars of 2 x 4 x 4 numbers."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def select(self, n: int, generator: torch.Generator) -> tuple[Exemplars, Tensor]:
        ids = torch.arange(self.count)
        rows = torch.randint(self.count, (n,), generator=generator)
        return Exemplars(numbers(ids), ids % 3, ids, {}), rows

    def sample(self, n: int, generator: torch.Generator) -> Exemplars:
        source, rows = self.select(n, generator)
        return source[rows]

    def by_ids(self, ids: Tensor) -> Exemplars:
        return Exemplars(numbers(ids), ids % 3, ids, {})


def numbers(ids: Tensor) -> Tensor:
    """Raw data (B, 2, 4, 4) that is a sample's id everywhere."""
    return ids[:, None, None, None].expand(len(ids), 2, 4, 4).float()


class NoisyAugment:
    """Augmentation that adds noise, so that its random numbers show in the inputs."""

    def layout(self, shape: torch.Size) -> Layout:
        return Layout({"noise": tuple(shape)})

    def __call__(self, raw: Tensor, numbers: Numbers | None = None) -> Tensor:
        return raw if numbers is None else raw + numbers["noise"]

    def mirrored(self, raw: Tensor) -> Tensor | None:
        return None


def maker(cutmix_p: float, seed: int = 0, reads_draws: bool = False) -> BatchMaker:
    """A batch maker with noisy augmentation."""
    generators = Generators(seed)
    return BatchMaker(NoisyAugment(), 3, cutmix_p, 1.0, CPU, generators, reads_draws=reads_draws)


def whole_epoch(
    cutmix_p: float = 0.0,
    exemplars: int = 0,
    replay_batch: int = 2,
    seed: int = 0,
    reads_draws: bool = False,
    preload: bool = False,
) -> list[StepBatches]:
    """All steps of an epoch of ten fresh samples, four a step."""
    ids = torch.arange(10)
    memory = NumberMemory(exemplars) if exemplars else None
    make = maker(cutmix_p, seed, reads_draws)
    loader = ReplayLoader(make, numbers, ids, ids % 3, 4, replay_batch, memory, preload=preload)
    return [make.prepare(step) for step in loader]


def counts(step: RawStep) -> list[int]:
    """Number of samples of each part of a step."""
    return [len(part) for part in step.parts]


def epoch(**options: Any) -> list[tuple[Batch, Batch | None]]:
    """The two batches of every step of `whole_epoch`."""
    return [(step.fresh, step.replay) for step in whole_epoch(**options)]


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
    for (fresh, _), (again, _) in zip(
        epoch(cutmix_p=0.5), epoch(cutmix_p=0.5, **other), strict=True
    ):
        assert torch.equal(fresh.inputs, again.inputs)
        assert torch.equal(fresh.ids, again.ids)


def test_cutmix_changes_neither_the_order_nor_the_crops() -> None:
    for (plain, _), (mixed, _) in zip(epoch(cutmix_p=0.0), epoch(cutmix_p=1.0), strict=True):
        assert torch.equal(plain.ids, mixed.ids)
        assert mixed.targets is not None
        unmixed_share = (mixed.inputs == plain.inputs).flatten(1).float().mean(1)
        label_share = mixed.targets[torch.arange(len(mixed.ids)), mixed.labels]
        assert bool((label_share >= unmixed_share - 1e-6).all())


def test_cutmix_mixes_as_many_batches_as_asked_for() -> None:
    mixed = 0
    for seed in range(200):
        for (plain, _), (batch, _) in zip(
            epoch(seed=seed), epoch(cutmix_p=0.3, seed=seed), strict=True
        ):
            mixed += not torch.equal(plain.inputs, batch.inputs)
    # A box can be empty and a partner the sample itself, so that a mixed batch shows less often.
    assert 0.2 < mixed / 600 < 0.37


@pytest.mark.parametrize("exemplars", [0, 5])
def test_skipping_cutmix_where_it_changes_nothing_gives_the_same_batches(exemplars: int) -> None:
    for seed in range(20):
        options = {"cutmix_p": 0.5, "exemplars": exemplars, "replay_batch": 4, "seed": seed}
        for step, expected in zip(
            whole_epoch(**options, reads_draws=True), whole_epoch(**options), strict=True
        ):
            assert torch.equal(step.inputs, expected.inputs)
            assert step.fresh.targets is not None
            assert expected.fresh.targets is not None
            assert torch.equal(step.fresh.targets, expected.fresh.targets)


def test_samples_preloaded_to_the_device_give_the_same_batches() -> None:
    for step, expected in zip(
        whole_epoch(exemplars=5, preload=True), whole_epoch(exemplars=5), strict=True
    ):
        assert torch.equal(step.inputs, expected.inputs)
        assert torch.equal(step.fresh.ids, expected.fresh.ids)


def test_the_fresh_and_the_replayed_part_never_mix_with_each_other() -> None:
    for fresh, replay in epoch(cutmix_p=1.0, exemplars=5):
        assert replay is not None
        for batch in (fresh, replay):
            assert batch.targets is not None
            absent = torch.ones(3, dtype=torch.bool)
            absent[batch.labels] = False
            assert float(batch.targets[:, absent].sum()) == 0.0


def test_a_joint_forward_pass_is_split_into_the_two_batches_again() -> None:
    step = whole_epoch(exemplars=5)[0]
    features = step.inputs.flatten(1)
    fresh_outputs, replay_outputs = step.with_outputs(features * 2, features)
    assert step.replay is not None
    assert replay_outputs is not None
    for batch, outputs in ((step.fresh, fresh_outputs), (step.replay, replay_outputs)):
        assert torch.equal(outputs.labels, batch.labels)
        assert outputs.features is not None
        assert torch.equal(outputs.features, batch.inputs.flatten(1))
        assert torch.equal(outputs.logits, 2 * outputs.features)
    assert step.labels.tolist() == [*step.fresh.labels.tolist(), *step.replay.labels.tolist()]


def test_training_on_the_memory_takes_the_steps_of_the_fresh_samples() -> None:
    steps = list(MemoryLoader(maker(0.0), NumberMemory(3), 4, 2, samples=10))
    assert [counts(step) for step in steps] == [[4, 2]] * 3


def test_a_plugins_loader_ends_with_the_steps_of_the_fresh_data() -> None:
    def endless() -> Iterator[list[Tensor]]:
        while True:
            yield [numbers(torch.arange(6)), torch.arange(6) % 3, torch.zeros(6)]

    steps = list(PluginLoader(endless(), maker(0.0), steps=2))
    assert [counts(step) for step in steps] == [[6], [6]]
