"""Samples that a memory is offered: encoded, chosen, stored, and cut where need be."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from helpers import format_specs, levelled_samples, memory_samples
from helpers.levelled_samples import LEVELS
from helpers.memory_samples import CONTEXT, LABEL, RECORD, ids_of, memory, samples
from seit_cl.core.blocks import FILES_AT_ONCE, IMAGES
from seit_cl.core.errors import UserError
from seit_cl.data.samples import Samples
from seit_cl.formats import FormatContext, build_format
from seit_cl.formats._original import OriginalFiles
from seit_cl.formats._records import Records
from seit_cl.formats.base import FittedFormat
from seit_cl.formats.tokens import TokensFormat
from seit_cl.memory import TensorSpec, policy_names
from seit_cl.memory.intake import Intake, checked_labels, needs_fit
from seit_cl.memory.levelling import Levelling, levelled_format
from seit_cl.memory.selection import PolicyContext, build_policy
from seit_cl.memory.store import ExemplarStore

every_policy = pytest.mark.parametrize("policy", policy_names())
ROOM = 100_000  # bytes, more than all samples of a test take
EXEMPLAR = RECORD + LABEL
ID = {"id": TensorSpec("int32", ())}
LABELS = st.lists(st.integers(0, 4), min_size=1, max_size=25)
OFFERS = st.lists(st.tuples(LABELS, st.integers(20, 400)), min_size=1, max_size=5)


def plain(spec: str = "tokens", policy: str = "class-balanced", seed: int = 0) -> Intake:
    """An empty intake of whole exemplars, each with its sample's id."""
    fmt = build_format(spec, CONTEXT)
    selection = build_policy(policy, PolicyContext(CONTEXT.classes, seed))
    store = ExemplarStore(selection.slots, ROOM, fmt, ID, None, 256)
    return Intake(fmt, CONTEXT.resolution, selection, store, lambda length: length + LABEL, None)


def cutting(policy: str = "class-balanced", min_levels: int = 1) -> Intake:
    """An empty intake that cuts exemplars to fewer levels."""
    context = levelled_samples.CONTEXT
    fmt = build_format("tokens", context)
    selection = build_policy(policy, PolicyContext(context.classes, 0, 0, LEVELS))
    store = ExemplarStore(selection.slots, ROOM, fmt, ID, None, 256)

    def nbytes(length: int) -> int:
        return length + LABEL

    levelled = levelled_format(fmt, policy, min_levels)
    levelling = Levelling(levelled, store, nbytes, min_levels)
    return Intake(fmt, context.resolution, selection, store, nbytes, levelling)


def give(intake: Intake, start: int, labels: list[int], capacity: int) -> None:
    """Offer samples with ids from `start` on."""
    helper = memory_samples if intake.levelling is None else levelled_samples
    part = helper.samples(start, labels)
    fields = {"id": part.ids.numpy().astype(np.int32)}
    intake.offer(intake.encode(part), labels, fields, capacity)


def exemplars(intake: Intake) -> tuple[torch.Tensor, list[int], list[int]]:
    """Decoded inputs, labels and sample ids of all exemplars."""
    read = intake.store.read(torch.arange(len(intake.selection.slots)))
    return read.inputs, read.labels.tolist(), read.extras["id"].tolist()


# ---------------------------------------------------------------- labels
@example(labels=[3, 0, 4, 0], classes=5)
@given(labels=st.lists(st.integers(-3, 8), max_size=8), classes=st.integers(1, 6))
def test_labels_are_those_of_the_samples_or_refused_by_their_range(
    labels: list[int], classes: int
) -> None:
    offered = samples(0, labels)
    if all(0 <= label < classes for label in labels):
        assert checked_labels(offered, classes) == labels
        return
    words = rf"labels {min(labels)}\.\.{max(labels)} in a memory of {classes} classes, 0\.\."
    with pytest.raises(UserError, match=words):
        checked_labels(offered, classes)


@pytest.mark.parametrize("label", [-1, 5])
def test_a_refused_offer_stores_nothing_of_the_others(label: int) -> None:
    buffer = memory(1000)
    with pytest.raises(UserError, match=rf"labels .*{label}.* in a memory of 5 classes"):
        buffer.offer(samples(0, [0, 1, label]))
    assert len(buffer) == buffer.selection.offered == 0


# ---------------------------------------------------------------- records
@pytest.mark.parametrize("spec", format_specs.SPECS, ids=format_specs.name_of)
def test_a_format_has_to_be_fitted_before_its_first_record(spec: str) -> None:
    intake = plain(spec)
    assert needs_fit(intake.fmt) == (isinstance(intake.fmt, FittedFormat) and intake.fmt.unfitted)
    if needs_fit(intake.fmt):
        with pytest.raises(ValueError, match="has to be fitted before the first offer"):
            intake.encode(samples(0, [0]))
        assert isinstance(intake.fmt, FittedFormat)
        some = samples(0, [0, 1] * 4)
        intake.fmt.fit(some, lambda images: images.float().mean((2, 3)), lambda length: 9)
    assert not needs_fit(intake.fmt)
    assert len(intake.encode(samples(0, [0, 1, 2]))) == 3


@pytest.mark.parametrize("spec", ["jpeg:quality=auto", "auto"])
def test_formats_that_choose_by_the_data_need_a_fit(spec: str) -> None:
    assert needs_fit(build_format(spec, CONTEXT))


class Uneven(TokensFormat):
    """Tokens, with a byte more for every sample of an odd id."""

    def encode(self, samples: Samples) -> Records:
        records = super().encode(samples).to_bytes()
        odd = (samples.ids % 2).tolist()
        return Records.from_bytes([each + bytes(n) for each, n in zip(records, odd, strict=True)])


def test_records_that_break_their_fixed_length_are_refused() -> None:
    intake = plain()
    intake.fmt = Uneven.build(TokensFormat.Options(), CONTEXT)
    assert len(intake.encode(samples(2, [0]))) == 1
    for start, count in ((0, 2), (1, 1)):  # some are longer; all are
        with pytest.raises(ValueError, match=f"differ from the fixed length {RECORD}"):
            intake.encode(samples(start, [0] * count))


class Counted(OriginalFiles):
    """Files as they are, and the number of them that were asked for at once."""

    source = "any"
    spec = "jpeg:original"

    def __init__(self, options: Any, context: FormatContext) -> None:
        super().__init__(options, context)
        self.parts: list[int] = []

    def encode(self, samples: Samples) -> Records:
        self.parts.append(len(samples))
        return super().encode(samples)


class CountedTokens(TokensFormat):
    """Tokens, and the number of samples that were asked for at once."""

    def encode(self, samples: Samples) -> Records:
        self.parts = [*getattr(self, "parts", []), len(samples)]
        return super().encode(samples)


@pytest.mark.parametrize(
    ("kind", "side", "parts"),
    [
        (Counted, 16, [FILES_AT_ONCE, FILES_AT_ONCE, 1]),  # a file may be of any size
        (CountedTokens, 16, [9]),
        (CountedTokens, 4096, [2, 2, 2, 2, 1]),  # two images have as many pixels as a block
    ],
)
def test_few_samples_are_encoded_at_once_where_each_is_large(
    kind: Any, side: int, parts: list[int]
) -> None:
    context = FormatContext(side, CONTEXT.classes, CONTEXT.codes, CONTEXT.grid, "test")
    fmt = kind.build(kind.Options(), context)
    buffer = memory_samples.ByteBudgetBuffer(ROOM, fmt, context)
    buffer.offer(samples(0, [0] * 9))
    assert fmt.parts == parts
    assert len(buffer) == 9


def test_a_block_has_a_limited_number_of_samples_however_small() -> None:
    fmt = CountedTokens.build(TokensFormat.Options(), CONTEXT)
    memory_samples.ByteBudgetBuffer(ROOM, fmt, CONTEXT).offer(samples(0, [0] * (IMAGES + 1)))
    assert fmt.parts == [IMAGES, 1]


# ---------------------------------------------------------------- decisions
@every_policy
@pytest.mark.parametrize("cuts", [False, True])
@settings(max_examples=10, deadline=None)
@given(offers=OFFERS)
def test_exemplars_fit_their_capacity_with_the_labels_and_fields_of_their_samples(
    policy: str, cuts: bool, offers: list[tuple[list[int], int]]
) -> None:
    intake = cutting(policy) if cuts else plain("tokens", policy)
    label_of: dict[int, int] = {}
    for labels, capacity in offers:
        start = len(label_of)
        label_of.update(enumerate(labels, start))
        intake.shrink(capacity)
        assert intake.selection.slots.file_bytes <= capacity
        give(intake, start, labels, capacity)
        assert intake.selection.slots.file_bytes <= capacity
        inputs, stored_labels, ids = exemplars(intake)
        assert stored_labels == [label_of[i] for i in ids]
        assert len(set(ids)) == len(ids) > 0
        if cuts:
            whole = levelled_samples.LevelSource().tokens(torch.tensor(ids))
            there = inputs >= 0
            assert torch.equal(inputs[there], whole[there])
        else:
            assert ids_of(inputs) == ids
    assert intake.selection.offered == len(label_of)


@every_policy
@pytest.mark.parametrize("cuts", [False, True])
@settings(max_examples=10, deadline=None)
@given(labels=LABELS, capacity=st.integers(20, 400), ends=st.lists(st.integers(0, 25)))
def test_decisions_do_not_depend_on_how_samples_are_offered(
    policy: str, cuts: bool, labels: list[int], capacity: int, ends: list[int]
) -> None:
    makes = cutting if cuts else plain
    together, apart = makes(policy=policy), makes(policy=policy)
    give(together, 0, labels, capacity)
    places = sorted({0, len(labels), *(end for end in ends if end < len(labels))})
    for start, end in itertools.pairwise(places):
        give(apart, start, labels[start:end], capacity)
    assert exemplars(together)[1:] == exemplars(apart)[1:]
    assert torch.equal(exemplars(together)[0], exemplars(apart)[0])
    assert together.full == apart.full


def test_a_record_longer_than_the_capacity_is_passed_over_and_the_others_stay() -> None:
    intake = plain("jpeg")
    lengths = intake.encode(samples(0, [0] * 17)).lengths
    short, long = int(lengths.argmin()), int(lengths.argmax())
    capacity = int(lengths.max()) + LABEL
    give(intake, short, [0], capacity)
    give(intake, long, [1], capacity - 1)
    assert exemplars(intake)[2] == [short]
    assert (intake.selection.skipped, intake.full) == (1, False)
    give(intake, long, [1], capacity)  # it fits now, to the byte
    assert intake.selection.skipped == 1
    assert intake.full
    assert exemplars(intake)[2] == [long]


def test_records_without_a_label_each_are_a_mistake() -> None:
    intake = plain()
    records = intake.encode(samples(0, [0, 1, 2]))
    with pytest.raises(ValueError, match="zip"):
        intake.offer(records, [0, 1], {"id": np.arange(3, dtype=np.int32)}, ROOM)


# ---------------------------------------------------------------- full
def test_a_memory_is_full_once_a_sample_did_not_fit_and_stays_so() -> None:
    intake = plain()
    give(intake, 0, [0, 1, 2], 3 * EXEMPLAR)
    assert not intake.full
    give(intake, 3, [3], 3 * EXEMPLAR)
    assert intake.full
    give(intake, 4, [4], ROOM)
    assert intake.full
    assert intake.counts_by_levels() == {}


def test_a_memory_that_cuts_is_full_from_its_first_cut_on() -> None:
    intake = cutting()
    whole = levelled_samples.ENDS[-1] + LABEL
    give(intake, 0, [0, 1], 2 * whole)
    assert not intake.full
    assert intake.counts_by_levels() == {1: 0, 2: 0, 3: 2}
    give(intake, 2, [2], 2 * whole)
    assert intake.full
    assert not intake.selection.full  # none was removed or refused
    assert sum(intake.counts_by_levels().values()) == 3


@every_policy
@settings(max_examples=10, deadline=None)
@given(offers=OFFERS)
def test_a_memory_that_cuts_is_never_less_full_than_before(
    policy: str, offers: list[tuple[list[int], int]]
) -> None:
    intake = cutting(policy)
    was_full = False
    start = 0
    for labels, capacity in offers:
        intake.shrink(capacity)
        for label in labels:
            give(intake, start, [label], capacity)
            start += 1
            assert intake.full >= was_full
            was_full = intake.full


# ---------------------------------------------------------------- less room
@pytest.mark.parametrize("min_levels", [1, 2])
def test_less_room_cuts_before_it_removes(min_levels: int) -> None:
    intake = cutting(min_levels=min_levels)
    give(intake, 0, [0, 1] * 5, ROOM)
    fewest = levelled_samples.ENDS[min_levels - 1] + LABEL
    intake.shrink(10 * fewest)
    assert intake.counts_by_levels()[min_levels] == 10
    assert sorted(exemplars(intake)[2]) == list(range(10))
    intake.shrink(10 * fewest - 1)
    assert intake.counts_by_levels()[min_levels] == 9


@every_policy
def test_less_room_than_before_removes_no_more_than_it_must(policy: str) -> None:
    intake = plain("tokens", policy)
    give(intake, 0, [0, 1, 2, 3, 4] * 4, ROOM)
    intake.shrink(20 * EXEMPLAR)
    assert len(exemplars(intake)[2]) == 20
    assert not intake.full
    intake.shrink(20 * EXEMPLAR - 1)
    assert len(exemplars(intake)[2]) == 19
    intake.shrink(17 * EXEMPLAR)
    assert len(exemplars(intake)[2]) == 17
    assert intake.full


# ---------------------------------------------------------------- from a file
@pytest.mark.parametrize("cuts", [False, True])
@settings(max_examples=15, deadline=None)
@given(labels=LABELS, capacity=st.integers(20, 400))
def test_exemplars_of_a_file_are_stored_as_they_are_without_a_decision(
    cuts: bool, labels: list[int], capacity: int
) -> None:
    makes = cutting if cuts else plain
    written, read = makes(), makes()
    give(written, 0, labels, capacity)
    read.fill(written.store.for_file())
    assert exemplars(read)[1:] == exemplars(written)[1:]
    assert torch.equal(exemplars(read)[0], exemplars(written)[0])
    assert read.counts_by_levels() == written.counts_by_levels()
    for name in ("total_cost", "file_bytes", "record_bytes"):
        assert getattr(read.selection.slots, name) == getattr(written.selection.slots, name)
    assert (read.selection.offered, read.selection.full) == (0, False)


@pytest.mark.parametrize("cuts", [False, True])
def test_more_records_than_there_is_room_for_are_refused(cuts: bool) -> None:
    makes = cutting if cuts else plain
    written, read = makes(), makes()
    give(written, 0, [0] * 10, ROOM)
    read.store.arena.capacity = written.selection.slots.record_bytes - 1
    with pytest.raises(ValueError, match="exceed"):
        read.fill(written.store.for_file())


def test_a_file_whose_records_have_too_few_levels_is_refused() -> None:
    written, read = cutting(min_levels=1), cutting(min_levels=2)
    give(written, 0, [0] * 3, ROOM)
    written.shrink(3 * (levelled_samples.ENDS[0] + LABEL))
    with pytest.raises(ValueError, match="a record of 1 levels, and min_levels=2"):
        read.fill(written.store.for_file())
