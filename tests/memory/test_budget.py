"""The budget counts everything: header, labels, lengths, fields, and records of any length."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.memory_samples import (
    CONTEXT,
    FIELD_BYTES,
    FIELDS,
    LABEL,
    RECORD,
    TinySource,
    extras,
    memory,
    samples,
)
from seit_cl.core.errors import BudgetTooSmall
from seit_cl.data.samples import Samples
from seit_cl.formats import FormatContext, build_format
from seit_cl.memory import ByteBudgetBuffer, TensorSpec, policy_names

EXEMPLAR = RECORD + LABEL + FIELD_BYTES
JPEG = build_format("jpeg", CONTEXT)
JPEG_LENGTHS = {i: len(JPEG.encode(samples(i, [0])).data) for i in range(17)}  # by sample id
LENGTH = 2  # bytes in which the length of such a record is stored
every_policy = pytest.mark.parametrize("policy", policy_names())


def header(
    policy: str = "class-balanced", exemplar_fields: Mapping[str, TensorSpec] | None = None
) -> int:
    """Bytes of an empty memory of tokens."""
    return memory(10_000, policy=policy, exemplar_fields=exemplar_fields).used_bytes


@every_policy
@settings(max_examples=30, deadline=None)
@given(count=st.integers(1, 40), spare=st.integers(0, EXEMPLAR - 1))
def test_a_budget_holds_as_many_exemplars_with_fields_as_fit_and_not_one_more(
    policy: str, count: int, spare: int
) -> None:
    budget = header(policy, FIELDS) + count * EXEMPLAR + spare
    buffer = memory(budget, policy=policy, exemplar_fields=FIELDS)
    buffer.offer(samples(0, [i % 5 for i in range(60)]), extras(0, 60))
    assert len(buffer) == count
    assert buffer.used_bytes == buffer.budget_bytes - spare


def test_fields_count_in_the_smallest_budget() -> None:
    smallest = header(exemplar_fields=FIELDS) + EXEMPLAR
    assert len(memory(smallest, exemplar_fields=FIELDS)) == 0
    with pytest.raises(BudgetTooSmall, match=f"at least {smallest} bytes"):
        memory(smallest - 1, exemplar_fields=FIELDS)


@pytest.mark.parametrize(
    ("classes", "width"), [(1, 1), (256, 1), (257, 2), (65_536, 2), (65_537, 4)]
)
def test_a_label_takes_what_the_number_of_classes_needs(
    classes: int, width: int, tmp_path: Path
) -> None:
    context = FormatContext(16, classes, CONTEXT.codes, CONTEXT.grid, "test")
    buffer = ByteBudgetBuffer(1_000_000, build_format("tokens", context), context)
    empty = buffer.used_bytes
    labels = torch.tensor([0, classes - 1, classes // 2])
    buffer.offer(Samples(torch.arange(3), labels, TinySource()))
    buffer.save(tmp_path / "memory.bin")
    assert os.path.getsize(tmp_path / "memory.bin") == empty + 3 * (RECORD + width)
    loaded = ByteBudgetBuffer.load(tmp_path / "memory.bin").by_ids(torch.arange(3))
    assert sorted(loaded.labels.tolist()) == sorted(labels.tolist())


@every_policy
@pytest.mark.parametrize("spec", ["tokens", "jpeg"])
def test_the_header_is_the_file_of_an_empty_memory_and_never_changes(
    policy: str, spec: str, tmp_path: Path
) -> None:
    buffer = memory(2000, spec, policy)
    buffer.save(tmp_path / "memory.bin")
    empty = os.path.getsize(tmp_path / "memory.bin")
    for start in range(0, 200, 40):
        buffer.offer(samples(start, [start // 40] * 40))
        assert buffer.bytes_by_kind()["header"] == empty


def test_only_policies_that_count_classes_pay_for_counters() -> None:
    counters = 4 * CONTEXT.classes
    names = len("class-balanced") - len("reservoir")
    assert header("class-balanced") - header("reservoir") == counters + names


@every_policy
def test_unequal_records_of_ever_more_classes_stay_within_every_budget(policy: str) -> None:
    for budget in range(900, 4000, 450):
        buffer = memory(budget, "jpeg", policy)
        for label in range(5):
            buffer.offer(samples(100 * label, [label] * 30))
            assert 0 < buffer.used_bytes <= budget
            assert len(buffer) > 0
        assert buffer.full


def test_ever_more_classes_share_the_bytes_of_unequal_records() -> None:
    buffer = memory(20_000, "jpeg")
    for label in range(5):
        buffer.offer(samples(100 * label, [label] * 100))
        labels = buffer.slots.column("label")
        lengths = buffer.slots.column("length")
        shares = [int(lengths[labels == earlier].sum()) for earlier in range(label + 1)]
        assert max(shares) - min(shares) <= 4 * max(JPEG_LENGTHS.values())


@pytest.mark.parametrize("seed", range(5))
def test_a_longer_record_takes_the_place_of_as_many_as_it_needs(seed: int) -> None:
    short = min(JPEG_LENGTHS, key=JPEG_LENGTHS.__getitem__)
    long = max(JPEG_LENGTHS, key=JPEG_LENGTHS.__getitem__)
    assert JPEG_LENGTHS[long] > JPEG_LENGTHS[short] + 100
    empty = memory(5000, "jpeg").used_bytes
    budget = empty + 3 * (JPEG_LENGTHS[short] + LABEL + LENGTH)
    buffer = memory(budget, "jpeg", seed=seed)
    for _ in range(3):
        buffer.offer(samples(short, [0]))
    buffer.offer(samples(long, [1]))
    assert buffer.counts_per_class().tolist() == [1, 1, 0, 0, 0]
    assert buffer.used_bytes <= buffer.budget_bytes


def test_the_smallest_budget_holds_the_longest_record_and_a_byte_less_is_refused() -> None:
    offered = samples(0, [0] * 17)
    longest = max(JPEG_LENGTHS.values())
    smallest = memory(5000, "jpeg").used_bytes + longest + LABEL + LENGTH
    buffer = memory(smallest, "jpeg")
    buffer.require_budget_for(offered)
    buffer.offer(offered)
    assert len(buffer) >= 1
    assert buffer.skipped == 0
    with pytest.raises(BudgetTooSmall, match=f"at least {smallest} bytes"):
        memory(smallest - 1, "jpeg").require_budget_for(offered)


@every_policy
@pytest.mark.parametrize("spec", ["tokens", "jpeg"])
def test_a_limited_number_of_exemplars_is_held_whatever_the_format(policy: str, spec: str) -> None:
    buffer = memory(100_000, spec, policy, max_exemplars=7)
    for label in range(5):
        buffer.offer(samples(100 * label, [label] * 20))
        assert len(buffer) == 7
    assert buffer.full


@every_policy
def test_a_saved_memory_with_a_limit_continues_like_the_original(
    policy: str, tmp_path: Path
) -> None:
    buffer = memory(100_000, "jpeg", policy, max_exemplars=7)
    buffer.offer(samples(0, [0, 1] * 10))
    buffer.save(tmp_path / "first.bin")
    assert os.path.getsize(tmp_path / "first.bin") == buffer.used_bytes
    loaded = ByteBudgetBuffer.load(tmp_path / "first.bin")
    assert loaded.max_exemplars == 7
    for each, name in ((buffer, "original.bin"), (loaded, "loaded.bin")):
        each.offer(samples(100, [2, 3] * 10))
        each.save(tmp_path / name)
    original = (tmp_path / "original.bin").read_bytes()
    assert (tmp_path / "loaded.bin").read_bytes() == original
    assert len(original) == loaded.used_bytes


def test_a_limit_takes_four_bytes_and_memories_without_one_are_as_before() -> None:
    limited = memory(10_000, max_exemplars=7).used_bytes
    assert limited - memory(10_000).used_bytes == 4
