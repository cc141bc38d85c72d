"""The decoded copy on the learner's device: it gives the same batches, only sooner."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from helpers.memory_samples import FIELDS, budget_for, extras, ids_of, load, memory, samples
from seit_cl.memory import ByteBudgetBuffer, Exemplars, device_cache

LABELS = [i % 5 for i in range(40)]
TRANSFORMS = [{}, {"transform": lambda pixels: pixels.float().mean((2, 3))}]


def filled(spec: str = "tokens", **rest: Any) -> ByteBudgetBuffer:
    buffer = memory(100_000, spec, **rest)
    buffer.offer(samples(0, LABELS))
    return buffer


def draw(buffer: ByteBudgetBuffer, batches: int = 3) -> list[Exemplars]:
    generator = torch.Generator().manual_seed(0)
    return [buffer.sample(6, generator) for _ in range(batches)]


@pytest.fixture
def fill_device(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Lowers the device budget to less than any copy takes, when called."""
    return lambda: monkeypatch.setattr(device_cache, "device_budget", lambda device: 100)


@pytest.mark.parametrize("rest", TRANSFORMS)
@pytest.mark.parametrize("spec", ["tokens", "tokens:coder=context", "jpeg", "raw"])
def test_batches_are_the_same_with_a_copy_and_without(spec, rest, fill_device):
    buffer = filled(spec, **rest)
    working_bytes = buffer.working_bytes
    with_copy = draw(buffer)
    assert buffer.device_bytes > 0
    assert buffer.working_bytes > working_bytes
    fill_device()
    other = filled(spec, **rest)
    for batch, expected in zip(draw(other), with_copy, strict=True):
        assert torch.equal(batch.inputs, expected.inputs)
        assert batch.inputs.dtype == expected.inputs.dtype
        assert torch.equal(batch.labels, expected.labels)
        assert torch.equal(batch.ids, expected.ids)
    assert other.device_bytes == 0


def test_a_memory_that_changes_with_every_batch_is_not_copied():
    buffer = memory(budget_for(20))
    for start in range(0, 200, 10):
        buffer.offer(samples(start, LABELS[:10]))
        (batch,) = draw(buffer, 1)
        assert all(i < start + 10 for i in ids_of(batch.inputs))
        assert buffer.device_bytes == 0


def test_samples_offered_later_are_drawn_too():
    buffer = filled()
    draw(buffer)
    buffer.offer(samples(1000, LABELS))
    for batch in (
        buffer.by_ids(torch.arange(len(buffer))),
        buffer.sample(80, torch.Generator()),
    ):
        assert sum(i >= 1000 for i in ids_of(batch.inputs)) == 40


def test_a_copy_follows_a_smaller_budget():
    buffer = filled()
    draw(buffer)
    buffer.resize(None, budget_for(10))
    assert len(buffer.sample(10, torch.Generator()).labels) == 10
    with pytest.raises(IndexError, match="of 10 exemplars"):
        buffer.by_ids(torch.tensor([10]))


def test_new_extras_are_in_the_copy_and_in_the_file(tmp_path):
    buffer = memory(budget_for(30) + 2000, exemplar_fields=FIELDS)
    buffer.offer(samples(0, LABELS[:20]), extras(0, 20))
    draw(buffer)
    buffer.update_extras(torch.tensor([3, 1]), {"logits": torch.full((2, 5), 7.0)})
    buffer.save(tmp_path / "memory.bin")
    for memory_with_update in (buffer, load(tmp_path / "memory.bin")):
        logits = memory_with_update.by_ids(torch.arange(20)).extras["logits"]
        assert logits[[3, 1]].eq(7).all()
        assert not logits[[0, 2]].eq(7).all()
        assert logits.dtype == torch.float16
