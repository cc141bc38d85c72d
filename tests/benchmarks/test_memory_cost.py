"""The memory benchmark: what it offers fills the memory, and it tells who stays without touching what the policy decides."""

import torch

from benchmarks import memory as benchmark
from seit_cl.memory import POLICIES


def test_the_page_has_every_policy_and_the_statistics_of_those_that_draw() -> None:
    page = benchmark.report(benchmark.Options(exemplars=10_000, repeats=2), "typed")
    for policy in POLICIES:
        assert page.count(f"| {policy} |") == (1 if policy == "herding" else 2)


def test_the_memory_is_full_after_as_many_samples_as_it_has_room_for() -> None:
    memory = benchmark.empty(benchmark.Ready(), 2000, "reservoir")
    benchmark.offer(memory, 0, 2500)
    assert (
        memory.full and abs(len(memory) - 2000) < 100 and memory.used_bytes <= memory.budget_bytes
    )


def test_those_said_to_stay_are_as_many_and_as_long_as_the_memorys() -> None:
    made = benchmark.Ready()
    memory = benchmark.empty(made, 50, "class-balanced", classes=1, seed=3)
    kept = benchmark._stayed(memory, 400)
    assert len(kept) == len(memory) == len(kept.unique())
    assert int(made.length(kept).sum()) == memory.payload_bytes
    assert torch.equal(
        made.length(kept).sort().values,
        torch.from_numpy(memory._arena.column("length").copy()).sort().values,
    )
