"""The memory benchmark: its stream fills the memory, and it recognises the samples that stay."""

import torch

from benchmarks import memory as benchmark
from seit_cl.memory import policy_names


def test_the_page_has_every_policy_and_the_statistics_of_those_that_draw() -> None:
    page = benchmark.report(benchmark.Options(exemplars=10_000, repeats=2), "typed")
    for policy in policy_names():
        drawn = 0 if policy == "herding" else len(benchmark.STREAM_CLASSES)
        assert page.count(f"| {policy} |") == 1 + drawn


def test_the_memory_is_full_after_as_many_samples_as_it_has_room_for() -> None:
    memory = benchmark.empty_memory(benchmark.ReadyFormat(), 2000, "reservoir")
    benchmark.offer(memory, 0, 2500)
    assert memory.full
    assert abs(len(memory) - 2000) < 100
    assert memory.used_bytes <= memory.budget_bytes


def test_stored_samples_are_as_many_and_as_long_as_the_memorys_records() -> None:
    fmt = benchmark.ReadyFormat()
    memory = benchmark.empty_memory(
        fmt, 50, "class-balanced", classes=1, seed=3, fields=benchmark.SAMPLE_ID
    )
    stored = benchmark.stored_ids(memory, torch.zeros(400, dtype=torch.int64))
    assert len(stored) == len(memory) == len(stored.unique())
    assert int(fmt.length(stored).sum()) == memory.payload_bytes
    lengths = torch.from_numpy(memory.slots.column("length").copy())
    assert torch.equal(fmt.length(stored).sort().values, lengths.sort().values)
