"""Exemplars that stay decoded on the learner's device: batches are the same, only sooner made."""

from collections.abc import Callable

import pytest
import torch

from helpers.memory_samples import STORES, extras, ids_of, memory, room_for, samples
from seit_cl.memory import ByteBudgetBuffer, device_cache

LABELS = [i % 5 for i in range(40)]


def filled(spec: str = "tokens", **rest: object) -> ByteBudgetBuffer:
    buffer = memory(100_000, spec, **rest)
    buffer.offer(samples(0, LABELS))
    return buffer


def draws(buffer: ByteBudgetBuffer, times: int = 3) -> list[device_cache.Exemplars]:
    generator = torch.Generator().manual_seed(0)
    return [buffer.sample(6, generator) for _ in range(times)]


def working(buffer: ByteBudgetBuffer) -> int:
    return buffer.working_bytes


@pytest.fixture
def no_room(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    return lambda: monkeypatch.setattr(device_cache, "device_budget", lambda device: 100)


@pytest.mark.parametrize("rest", [{}, {"transform": lambda pixels: pixels.float().mean((2, 3))}])
@pytest.mark.parametrize("spec", ["tokens", "tokens:coder=context", "jpeg", "raw"])
def test_batches_are_the_same_with_room_for_a_copy_and_without(spec, rest, no_room):
    buffer = filled(spec, **rest)
    before = working(buffer)
    kept = draws(buffer)
    assert working(buffer) > before
    no_room()
    other = filled(spec, **rest)
    for mine, yours in zip(kept, draws(other), strict=True):
        assert torch.equal(mine.inputs, yours.inputs) and mine.inputs.dtype == yours.inputs.dtype
        assert torch.equal(mine.labels, yours.labels) and torch.equal(mine.ids, yours.ids)
    assert other._resident.nbytes == 0


def test_a_memory_that_changes_with_every_batch_is_not_copied():
    buffer = memory(room_for(20))
    for start in range(0, 200, 10):
        buffer.offer(samples(start, LABELS[:10]))
        drawn = draws(buffer, 1)[0]
        assert all(i < start + 10 for i in ids_of(drawn.inputs)) and buffer._resident.nbytes == 0


def test_what_is_offered_later_is_drawn_too():
    buffer = filled()
    draws(buffer)
    buffer.offer(samples(1000, LABELS))
    everything = buffer.by_ids(torch.arange(len(buffer)))
    assert sum(i >= 1000 for i in ids_of(everything.inputs)) == 40
    assert sum(i >= 1000 for i in ids_of(buffer.sample(80, torch.Generator()).inputs)) == 40


def test_a_smaller_budget_is_obeyed_by_the_copy():
    buffer = filled()
    draws(buffer)
    buffer.resize(None, room_for(10))
    assert len(buffer.sample(10, torch.Generator()).labels) == 10
    with pytest.raises(IndexError, match="of 10 exemplars"):
        buffer.by_ids(torch.tensor([10]))


def test_new_extras_are_seen_in_the_copy_and_kept_in_the_memory(tmp_path):
    buffer = memory(room_for(30) + 2000, exemplar_fields=STORES)
    buffer.offer(samples(0, LABELS[:20]), extras(0, 20))
    draws(buffer)
    ids = torch.tensor([3, 1])
    buffer.update_extras(ids, {"logits": torch.full((2, 5), 7.0)})
    buffer.save(tmp_path / "memory.bin")
    for held in (buffer, ByteBudgetBuffer.load(tmp_path / "memory.bin")):
        batch = held.by_ids(torch.arange(20))
        assert (
            batch.extras["logits"][[3, 1]].eq(7).all()
            and not batch.extras["logits"][[0, 2]].eq(7).all()
        )
        assert batch.extras["logits"].dtype == torch.float16
