"""Batches: steps follow the fresh data, and each kind of randomness has a generator of its own."""

import pytest
import torch

from seit_cl.core.rng import Generators
from seit_cl.learner.batches import Batch, BatchMaker, ReplayLoader

CPU = torch.device("cpu")


class Memory:
    """As much of a memory as batches need: n exemplars of 2 x 4 x 4 numbers."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def sample(self, n: int, generator: torch.Generator) -> Batch:
        ids = torch.randint(self.count, (n,), generator=generator)
        return Batch(ids[:, None, None, None].expand(n, 2, 4, 4).float(), ids % 3, ids)


def maker(cutmix_p: float, seed: int = 0) -> BatchMaker:
    """Augmentation adds noise, so that its generator shows in the inputs."""

    def augment(
        raw: torch.Tensor, generator: torch.Generator | None, train: bool = True
    ) -> torch.Tensor:
        return raw.float() + torch.rand(raw.shape, generator=generator)

    return BatchMaker(augment, 3, cutmix_p, 1.0, CPU, Generators(seed))


def epoch(
    cutmix_p: float = 0.0, exemplars: int = 0, replay_batch: int = 2, seed: int = 0
) -> list[tuple[Batch, Batch | None]]:
    ids = torch.arange(10)
    raw = torch.arange(10.0)[:, None, None, None].expand(10, 2, 4, 4)
    memory = Memory(exemplars) if exemplars else None
    return list(
        ReplayLoader(
            maker(cutmix_p, seed), lambda wanted: raw[wanted], ids, ids % 3, 4, replay_batch, memory
        )
    )


@pytest.mark.parametrize("exemplars", [0, 1, 1000])
def test_steps_follow_the_fresh_data_whatever_the_memory_holds(exemplars: int) -> None:
    steps = epoch(exemplars=exemplars)
    assert [len(fresh.labels) for fresh, _ in steps] == [4, 4, 2]
    assert torch.cat([fresh.ids for fresh, _ in steps]).sort().values.tolist() == list(range(10))
    assert all((replay is None) == (exemplars == 0) for _, replay in steps)


@pytest.mark.parametrize(
    "other", [{"exemplars": 7}, {"exemplars": 7, "replay_batch": 5}, {"exemplars": 900}]
)
def test_replay_moves_nothing_of_the_fresh_samples(other: dict[str, int]) -> None:
    for (fresh, _), (again, _) in zip(epoch(0.5), epoch(0.5, **other), strict=True):
        assert torch.equal(fresh.inputs, again.inputs) and torch.equal(fresh.ids, again.ids)


def test_cutmix_moves_neither_the_order_nor_the_crops() -> None:
    for (plain, _), (mixed, _) in zip(epoch(0.0), epoch(1.0), strict=True):
        assert torch.equal(plain.ids, mixed.ids)
        own = (mixed.inputs == plain.inputs).flatten(1).float().mean(1)
        kept = mixed.targets[
            torch.arange(len(own)), mixed.labels
        ]  # at least the share that is still the sample's own
        assert bool((kept >= own - 1e-6).all())


def test_cutmix_mixes_as_many_batches_as_asked_for() -> None:
    mixed = sum(
        fresh.targets is not None for seed in range(200) for fresh, _ in epoch(0.3, seed=seed)
    )
    assert 0.23 < mixed / 600 < 0.37


def test_the_fresh_and_the_replayed_part_never_mix_with_each_other() -> None:
    for fresh, replay in epoch(1.0, exemplars=5):
        assert replay is not None and fresh.targets is not None and replay.targets is not None
        for batch in (fresh, replay):
            absent = torch.ones(3, dtype=torch.bool)
            absent[batch.labels] = False
            assert float(batch.targets[:, absent].sum()) == 0.0
