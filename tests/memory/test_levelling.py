"""A memory that cuts exemplars to fewer levels before it removes any."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.generators import generator
from helpers.levelled_samples import (
    CONTEXT,
    ENDS,
    LEVELS,
    LevelSource,
    levels_of,
    memory,
    samples,
)
from helpers.memory_samples import FIELDS, extras
from helpers.memory_samples import memory as one_level_memory
from seit_cl.core.errors import UserError
from seit_cl.formats import FormatContext, build_format
from seit_cl.memory import ByteBudgetBuffer, TensorSpec, policy_names
from seit_cl.memory.file import read_body, write_body
from seit_cl.memory.levelled_slots import LevelledSlots

every_policy = pytest.mark.parametrize("policy", policy_names())
LABEL_AND_LENGTH = 2
SAMPLE_ID = {"id": TensorSpec("int32", ())}
OFFERS = st.lists(st.lists(st.integers(0, 4), min_size=1, max_size=20), min_size=1, max_size=5)


def empty_bytes(policy: str = "class-balanced", **rest: object) -> int:
    return memory(10_000, policy, **rest).used_bytes


def saved(buffer: ByteBudgetBuffer, folder: Path) -> bytes:
    """The file of a memory, whose size is what the memory says and the budget allows."""
    path = folder / "memory.bin"
    buffer.save(path)
    assert os.path.getsize(path) == buffer.used_bytes <= buffer.budget_bytes
    return path.read_bytes()


def check_contents(buffer: ByteBudgetBuffer, min_levels: int) -> None:
    """Every exemplar is that of its sample, without its last levels."""
    stored = buffer.by_ids(torch.arange(len(buffer)))
    levels = levels_of(stored.inputs)
    assert int(levels.min()) >= min_levels
    counts = {n: int((levels == n).sum()) for n in range(1, LEVELS + 1)}
    assert buffer.counts_by_levels() == counts
    whole = LevelSource().tokens(stored.extras["id"])
    there = stored.inputs >= 0
    assert torch.equal(stored.inputs[there], whole[there])


@every_policy
@settings(max_examples=5, deadline=None)
@given(
    offers=OFFERS,
    room=st.integers(21, 400),
    min_levels=st.integers(1, LEVELS),
    limit=st.sampled_from([0, 7]),
    seed=st.integers(0, 2**64 - 1),
    smaller=st.integers(0, 100),
)
def test_every_file_fits_and_a_loaded_memory_decides_alike(
    policy: str,
    offers: list[list[int]],
    room: int,
    min_levels: int,
    limit: int,
    seed: int,
    smaller: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    rest = {"exemplar_fields": SAMPLE_ID, "max_exemplars": limit}
    budget = empty_bytes(policy, **rest) + 4 + room
    live = memory(budget, policy, min_levels, seed=seed, **rest)
    folder = tmp_path_factory.mktemp("files")
    loaded = live
    start = 0
    for labels in offers:
        part = samples(start, labels)
        for buffer in [live] if loaded is live else [live, loaded]:
            buffer.offer(part, {"id": part.ids})
        start += len(labels)
        data = saved(live, folder)
        assert saved(loaded, folder) == data
        assert live.digest() == loaded.digest()
        check_contents(live, min_levels)
        loaded = ByteBudgetBuffer.load(folder / "memory.bin")
        assert saved(loaded, folder) == data
    least = empty_bytes(policy, **rest) + 4 + 23
    for buffer in (live, loaded):
        buffer.resize(None, max(least, budget - smaller))
    assert saved(live, folder) == saved(loaded, folder)
    check_contents(live, min_levels)


@every_policy
@pytest.mark.parametrize("min_levels", [1, 2])
def test_the_exemplars_are_those_of_a_memory_of_the_fewest_levels(
    policy: str, min_levels: int
) -> None:
    first = FormatContext(16, 5, CONTEXT.codes, (min_levels, 3, 3), "first levels")

    class FirstLevels(LevelSource):
        def tokens(self, ids: torch.Tensor) -> torch.Tensor:
            return super().tokens(ids)[:, :min_levels]

    room = 20 * (ENDS[min_levels - 1] + LABEL_AND_LENGTH)
    cut = memory(empty_bytes(policy) + room, policy, min_levels, seed=3)
    # A record of a fixed length stores none, so that an exemplar takes a byte less.
    small = ByteBudgetBuffer(100_000, build_format("tokens", first), first, policy, seed=3)
    small.resize(None, small.used_bytes + room - 20)
    for label in range(5):
        part = samples(100 * label, [label] * 15)
        cut.offer(part)
        small.offer(type(part)(part.ids, part.labels, FirstLevels()))
        every = torch.arange(len(small))
        assert torch.equal(cut.by_ids(every).inputs[:, :min_levels], small.by_ids(every).inputs)
        assert len(cut) == len(small)


def test_nothing_is_removed_before_all_have_the_fewest_levels() -> None:
    room = 20 * (ENDS[0] + LABEL_AND_LENGTH)
    buffer = memory(empty_bytes() + room)
    for number in range(20):
        buffer.offer(samples(number, [number % 2]))
        assert len(buffer) == number + 1
        for label in range(min(number + 1, 2)):
            levels = levels_of(buffer.by_class(label).inputs)
            assert int(levels.max() - levels.min()) <= 1
        # Nothing was cut that could have stayed: a level has at most 6 bytes.
        free = buffer.budget_bytes - buffer.used_bytes
        assert free < 6 or buffer.counts_by_levels()[LEVELS] == len(buffer)
    assert buffer.counts_by_levels() == {1: 20, 2: 0, 3: 0}
    buffer.offer(samples(20, [2]))
    assert len(buffer) == 20


def test_a_class_with_few_samples_keeps_its_levels() -> None:
    buffer = memory(empty_bytes() + 20 * 14)
    buffer.offer(samples(0, [0] * 2 + [1] * 25))
    levels = levels_of(buffer.by_class(0).inputs)
    assert levels.tolist() == [LEVELS] * 2
    assert int(levels_of(buffer.by_class(1).inputs).max()) < LEVELS


def test_what_fits_is_stored_whole() -> None:
    buffer = memory(empty_bytes() + 19 * 10)
    buffer.offer(samples(0, [0, 1] * 5))
    assert buffer.counts_by_levels() == {1: 0, 2: 0, 3: 10}
    assert not buffer.full
    buffer.offer(samples(10, [2]))
    assert buffer.full
    assert len(buffer) == 11


def test_decoded_inputs_are_made_again_for_exemplars_that_were_cut() -> None:
    decoded: list[int] = []

    def transform(tokens: torch.Tensor) -> torch.Tensor:
        decoded.extend(levels_of(tokens).tolist())
        return tokens.float()

    buffer = memory(empty_bytes() + 19 * 10, transform=transform)
    buffer.offer(samples(0, [0] * 10))
    buffer.by_ids(torch.arange(10))
    buffer.sample(5, generator())
    assert decoded == [LEVELS] * 10
    buffer.offer(samples(10, [0] * 3))
    levels = levels_of(buffer.by_ids(torch.arange(13)).inputs)
    assert sorted(decoded[10:]) == sorted(
        [*levels[:10][levels[:10] < LEVELS].tolist(), *levels[10:].tolist()]
    )
    assert int((levels < LEVELS).sum()) > 0


def test_the_copy_on_the_device_follows() -> None:
    buffer = memory(empty_bytes() + 19 * 10)
    buffer.offer(samples(0, [0] * 10))
    for _ in range(3):
        buffer.sample(10, generator())
    assert buffer.device_bytes > 0
    buffer.offer(samples(10, [0] * 6))
    inputs = [buffer.sample(16, generator()).inputs for _ in range(3)][-1]
    stored = buffer.by_ids(torch.arange(16)).inputs
    assert sorted(levels_of(inputs).tolist()) == sorted(levels_of(stored).tolist())
    assert int(levels_of(inputs).min()) < LEVELS


def test_fields_stay_with_their_exemplars() -> None:
    buffer = memory(empty_bytes(exemplar_fields=FIELDS) + 600, exemplar_fields=FIELDS)
    buffer.offer(samples(0, [i % 5 for i in range(60)]), extras(0, 60))
    stored = buffer.by_ids(torch.arange(len(buffer)))
    ids = stored.extras["step"]
    assert torch.equal(stored.labels, ids.long() % 5)
    assert torch.equal(stored.extras["logits"], extras(0, 60)["logits"][ids.long()])


@pytest.mark.parametrize(
    ("spec", "policy", "words"),
    [
        ("tokens", "class-balanced:degrade=levels", "cannot be cut to fewer levels; use"),
        ("jpeg", "reservoir:degrade=levels", "records of jpeg"),
        ("tokens", "class-balanced:degrade=bytes", "give levels or none"),
        ("tokens", "class-balanced:min_levels=2", "needs degrade=levels"),
        ("tokens", "class-balanced:degrade=levels,min_levels=0", "at least 1"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(spec: str, policy: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        one_level_memory(5000, spec, policy)


def test_more_levels_than_a_record_has_are_refused() -> None:
    with pytest.raises(UserError, match="min_levels from 1 to 3"):
        memory(5000, min_levels=4)


def test_a_file_whose_records_are_of_no_level_or_whose_flag_is_wrong_is_refused(
    tmp_path: Path,
) -> None:
    buffer = memory(empty_bytes() + 300)
    buffer.offer(samples(0, [0] * 60))
    path = tmp_path / "memory.bin"
    buffer.save(path)
    body = bytearray(read_body(path))
    flags_at = 8 + 6 * 4 + 4 * 8
    assert body[flags_at] == 1 | 4
    body[flags_at] = 1
    write_body(path, bytes(body))
    with pytest.raises(UserError, match="inconsistent"):
        ByteBudgetBuffer.load(path)
    body[flags_at] = 1 | 4
    body[-(sum(buffer.slots.column("length").tolist()) + 1)] -= 1  # the last length
    write_body(path, bytes(body[:-1]))
    with pytest.raises(UserError, match="inconsistent"):
        ByteBudgetBuffer.load(path)


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.integers(0, 2), st.integers(1, LEVELS)),  # append: label, levels
        st.tuples(st.just(-1), st.integers(0, 10**6)),  # remove a slot
        st.tuples(st.just(-2), st.integers(0, 2)),  # cut the first with most levels of a group
    ),
    max_size=120,
)


@pytest.mark.parametrize("by_class", [True, False])
@settings(deadline=None, max_examples=60)
@given(actions=ACTIONS)
def test_the_first_with_most_levels_is_that_of_a_search(
    by_class: bool, actions: list[tuple[int, int]]
) -> None:
    table = LevelledSlots(3, by_class, LEVELS)
    for kind, number in actions:
        if kind >= 0:
            slot = table.append(kind, 0, 0, cost=10)
            table.set_levels(slot, number, 5 * (number - 1))
        elif kind == -1 and len(table):
            table.remove(number % len(table))
        elif kind == -2 and number < len(table.groups) and len(table.groups[number]):
            slot = table.first_with_most_levels(number)
            members = [table.levels_of(member) for member in table.groups[number]]
            most = max(members)
            assert table.most_levels(number) == most
            assert slot == table.groups[number][members.index(most)]
            if most > 1:
                table.set_levels(slot, most - 1, 5 * (most - 2))
    levels = table.column("levels")
    assert table.total_excess == int(table.column("excess").sum()) == 5 * int((levels - 1).sum())
    assert table.group_excess.sum() == table.total_excess
    assert table.file_bytes == 10 * len(table) + table.total_excess
    counted = np.bincount(levels, minlength=LEVELS + 1)[1:].tolist()
    assert list(table.counts_by_levels().values()) == counted
