"""The slot table against a list of rows for every group."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seit_cl.memory.slots import SlotTable

CLASSES = 4
APPEND = st.tuples(st.integers(0, CLASSES - 1), st.integers(0, 50), st.integers(0, 60))
REMOVE = st.integers(0, 10**6)
ACTIONS = st.lists(st.one_of(APPEND, APPEND, REMOVE), max_size=200)


@pytest.mark.parametrize("by_class", [True, False])
@settings(deadline=None)
@given(actions=ACTIONS)
def test_groups_are_lists_in_which_the_last_row_replaces_a_removed_one(by_class, actions):
    table = SlotTable(CLASSES, by_class)
    table.add_column("number", np.dtype(np.int64), ())
    model = [[] for _ in range(CLASSES if by_class else 1)]
    for number, action in enumerate(actions):
        if isinstance(action, tuple):
            label, length, cost = action
            slot = table.append(label, number, length, cost)
            table.set(slot, "number", np.array(number))
            model[label if by_class else 0].append((label, length, cost, number))
        elif len(table):
            position = action % len(table)
            group, place = locate(model, position)
            table.remove(int(table.at(np.array([position]))[0]))
            model[group][place] = model[group][-1]
            model[group].pop()
    rows = list(itertools.chain.from_iterable(model))
    for index, name in enumerate(("label", "length", "cost", "number")):
        assert table.column(name)[table.order()].tolist() == [row[index] for row in rows]
    assert table.column("offset").tolist() == table.column("number").tolist()
    assert table.group_counts.tolist() == [len(group) for group in model]
    for group, group_bytes in zip(model, table.group_bytes.tolist(), strict=True):
        assert group_bytes == sum(row[2] for row in group)
    assert table.total_cost == sum(row[2] for row in rows)
    assert table.record_bytes == sum(row[1] for row in rows)


def locate(model, position):
    """The group and the place of a position of the canonical order."""
    for group, rows in enumerate(model):
        if position < len(rows):
            return group, position
        position -= len(rows)
    raise IndexError(position)


@pytest.mark.parametrize("by_class", [True, False])
def test_few_and_many_positions_give_the_same_slots(by_class):
    table = SlotTable(CLASSES, by_class)
    for number in range(200):
        table.append(number * number % 3, 0, 1, 1)  # no exemplar of the last class
    for slot in (0, 77, 150):
        table.remove(slot)
    order = table.order()
    positions = np.random.default_rng(0).permutation(len(table))
    assert table.at(positions).tolist() == order[positions].tolist()
    for few in np.split(positions[:190], 10):
        assert table.at(few).tolist() == order[few].tolist()
    assert table.at(positions[:0]).tolist() == []


@pytest.mark.parametrize("slot", [-1, 0])
def test_a_slot_that_does_not_exist_cannot_be_removed(slot):
    with pytest.raises(IndexError):
        SlotTable(1, False).remove(slot)
