"""The arena and its slot table, against a list of byte strings."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seit_cl.memory.arena import Arena
from seit_cl.memory.slots import SlotTable

ACTIONS = st.lists(st.one_of(st.binary(max_size=300), st.integers(0, 10**6)), max_size=150)


def empty_arena(capacity: int) -> Arena:
    return Arena(capacity, SlotTable(classes=1, by_class=False))


def record(content: bytes) -> np.ndarray:
    return np.frombuffer(content, np.uint8)


@settings(deadline=None)
@given(ACTIONS, st.integers(300, 3000))
def test_an_arena_is_a_list_in_which_the_last_record_replaces_a_removed_one(actions, capacity):
    arena = empty_arena(capacity)
    slots = arena.slots
    slots.add_column("mark", np.dtype(np.int32), (2,))
    model = []
    for number, action in enumerate(actions):
        if isinstance(action, bytes):
            if sum(len(content) for content, _ in model) + len(action) > capacity:
                with pytest.raises(ValueError, match="exceed"):
                    arena.append(record(action), 0, 0)
                continue
            slot = arena.append(record(action), number, 0)
            assert slot == len(model)
            assert slots.column("mark")[slot].tolist() == [0, 0]
            slots.set(slot, "mark", np.array([number, -number]))
            model.append((action, number))
        elif model:
            slot = action % len(model)
            slots.remove(slot)
            model[slot] = model[-1]
            model.pop()
    records = arena.records(np.arange(len(model)))
    assert records.to_bytes() == [content for content, _ in model]
    assert slots.column("label").tolist() == [number for _, number in model]
    assert slots.column("mark").tolist() == [[number, -number] for _, number in model]
    assert slots.record_bytes == sum(len(content) for content, _ in model)
    assert len(records.data) <= max(2 * capacity, 1)


def test_a_large_budget_that_holds_little_takes_little():
    arena = empty_arena(100_000_000)
    for _ in range(50):
        arena.append(np.zeros(1000, np.uint8), 0, 1000)
    assert arena.nbytes + arena.slots.nbytes < 300_000


def test_work_per_record_does_not_grow():
    arena = empty_arena(10_000)
    moved = 0
    compact = arena._compact

    def counting(target):
        nonlocal moved
        moved += len(arena.slots)
        compact(target)

    arena._compact = counting
    for i in range(20_000):
        if len(arena.slots) == 100:
            arena.slots.remove(i * 7 % 100)
        arena.append(np.full(100, i % 251, np.uint8), i, 100)
    assert moved < 2 * 20_000


def test_records_are_torch_views():
    arena = empty_arena(10)
    arena.append(np.array([1, 2, 3], np.uint8), 4, 3)
    records = arena.records(np.array([0, 0]))
    assert records.rows().tolist() == [[1, 2, 3]] * 2
    assert records.data.dtype == torch.uint8
