"""The arena against a list of byte strings."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seit_cl.memory.arena import Arena

ACTIONS = st.lists(st.one_of(st.binary(max_size=300), st.integers(0, 10**6)), max_size=150)


@settings(deadline=None)
@given(ACTIONS, st.integers(300, 3000))
def test_arena_is_a_list_with_swap_removal(actions, capacity):
    arena, model = Arena(capacity), []
    arena.add_column("mark", np.dtype(np.int32), (2,))
    for number, action in enumerate(actions):
        if isinstance(action, bytes):
            if sum(len(r) for r, _ in model) + len(action) > capacity:
                with pytest.raises(ValueError, match="exceed"):
                    arena.append(np.frombuffer(action, np.uint8), 0)
                continue
            mark = np.array([number, -number])
            assert arena.append(np.frombuffer(action, np.uint8), number, {"mark": mark}) == len(
                model
            )
            model.append((action, number))
        elif model:
            slot = action % len(model)
            arena.remove(slot)
            model[slot] = model[-1]
            model.pop()
    records = arena.records(np.arange(len(model)))
    assert records.to_bytes() == [r for r, _ in model]
    assert arena.column("label").tolist() == [n for _, n in model]
    assert arena.column("mark").tolist() == [[n, -n] for _, n in model]
    assert arena.live_bytes == sum(len(r) for r, _ in model)
    assert len(records.data) <= max(2 * capacity, 1)


def test_a_large_budget_that_holds_little_takes_little():
    arena = Arena(100_000_000)
    for _ in range(50):
        arena.append(np.zeros(1000, np.uint8), 0)
    assert arena.working_bytes < 300_000


def test_work_per_record_does_not_grow():
    arena, moved = Arena(10_000), 0
    compact = arena._compact

    def counting(target):
        nonlocal moved
        moved += len(arena)
        compact(target)

    arena._compact = counting
    for i in range(20_000):
        if len(arena) == 100:
            arena.remove(i * 7 % 100)
        arena.append(np.full(100, i % 251, np.uint8), i)
    assert moved < 2 * 20_000


def test_a_slot_that_is_not_there_cannot_be_removed():
    with pytest.raises(IndexError):
        Arena(10).remove(0)


def test_records_are_torch_views():
    arena = Arena(10)
    arena.append(np.array([1, 2, 3], np.uint8), 4)
    records = arena.records(np.array([0, 0]))
    assert records.rows().tolist() == [[1, 2, 3]] * 2 and records.data.dtype == torch.uint8
