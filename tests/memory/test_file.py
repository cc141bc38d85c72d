"""The memory's file: its size is what the budget bounds, and it has everything of the memory."""

import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import format_specs
from helpers.memory_samples import (
    CONTEXT,
    FIELDS,
    LABEL,
    RECORD,
    extras,
    load,
    memory,
    samples,
)
from helpers.random_entropy import random_model
from seit_cl.core.errors import UserError
from seit_cl.formats.base import FittedFormat
from seit_cl.memory import ByteBudgetBuffer, policy_names
from seit_cl.memory.varints import read_varints, varint_bytes, write_varints

OFFERS = st.lists(st.lists(st.integers(0, 4), min_size=1, max_size=25), min_size=1, max_size=5)
PARTIAL = "tokens:keep=0.5,score=rarity"
FORMATS = [*format_specs.SPECS, "tokens:coder=table", "tokens:coder=context", PARTIAL]


def saved(buffer: ByteBudgetBuffer, folder: Path) -> bytes:
    buffer.save(folder / "memory.bin")
    assert os.path.getsize(folder / "memory.bin") == buffer.used_bytes <= buffer.budget_bytes
    assert os.listdir(folder) == ["memory.bin"]
    return (folder / "memory.bin").read_bytes()


@pytest.mark.parametrize("policy", policy_names())
@pytest.mark.parametrize("spec", FORMATS, ids=format_specs.name_of)
@settings(max_examples=12, deadline=None)
@given(
    offers=OFFERS,
    spare=st.integers(0, 4000),
    with_fields=st.booleans(),
    seed=st.integers(0, 2**64 - 1),
)
def test_a_loaded_memory_has_the_same_file_and_makes_the_same_decisions(
    policy, spec, offers, spare, with_fields, seed
):
    live = memory(1200 + spare, spec, policy, FIELDS if with_fields else {}, seed=seed)
    if isinstance(live.fmt, FittedFormat):
        live.fit(samples(0, [0] * 8), lambda images: images.float().mean((2, 3)))
    loaded = live
    folder = Path(tempfile.mkdtemp())
    start = 0
    for labels in offers:
        for buffer in [live] if loaded is live else [live, loaded]:
            values = extras(start, len(labels)) if with_fields else None
            buffer.offer(samples(start, labels), values)
        start += len(labels)
        data = saved(live, folder)
        assert saved(loaded, folder) == data
        loaded = load(folder / "memory.bin")
        assert saved(loaded, folder) == data
        count = min(3, len(live))
        drawn = live.sample(count, torch.Generator().manual_seed(start))
        drawn_again = loaded.sample(count, torch.Generator().manual_seed(start))
        assert torch.equal(drawn.inputs, drawn_again.inputs)
        assert torch.equal(drawn.labels, drawn_again.labels)
    shutil.rmtree(folder)


@pytest.mark.parametrize("coder", ["table", "context"])
def test_a_memory_written_with_other_probabilities_is_refused(coder, tmp_path):
    live = memory(3000, f"tokens:coder={coder}")
    live.offer(samples(0, [i % 5 for i in range(20)]))
    data = saved(live, tmp_path)
    other = random_model(CONTEXT.codes, seed=1, tokenizer=CONTEXT.tokenizer)
    with pytest.raises(UserError, match="another entropy model"):
        ByteBudgetBuffer.load(tmp_path / "memory.bin", entropy_model=lambda: other)
    assert saved(load(tmp_path / "memory.bin"), tmp_path) == data


@pytest.mark.parametrize("policy", policy_names())
def test_resized_memories_continue_identically(policy, tmp_path):
    live = memory(3000, policy=policy)
    live.offer(samples(0, [i % 5 for i in range(150)]))
    live.resize(None, 1500)
    saved(live, tmp_path)
    loaded = load(tmp_path / "memory.bin")
    for buffer in (live, loaded):
        buffer.offer(samples(200, [i % 3 for i in range(100)]))
        buffer.resize(None, 1000)
    assert saved(live, tmp_path) == saved(loaded, tmp_path)


@pytest.mark.parametrize("spec", ["raw", "jpeg:size=8", "tokens"])
def test_a_loaded_memory_decodes_the_same_exemplars(spec, tmp_path):
    live = memory(5000, spec, exemplar_fields=FIELDS)
    live.offer(samples(0, [0, 1, 2] * 10), extras(0, 30))
    saved(live, tmp_path)
    loaded = load(tmp_path / "memory.bin")
    everything = torch.arange(len(live))
    expected = live.by_ids(everything)
    batch = loaded.by_ids(everything)
    assert torch.equal(batch.inputs, expected.inputs)
    assert torch.equal(batch.labels, expected.labels)
    assert all(torch.equal(batch.extras[name], expected.extras[name]) for name in FIELDS)
    assert loaded.fmt.spec == live.fmt.spec
    assert loaded.context == live.context
    assert loaded.exemplar_fields == live.exemplar_fields


def test_an_exemplar_of_fixed_length_costs_its_record_and_its_label(tmp_path):
    buffer = memory(5000)
    empty = len(saved(buffer, tmp_path))
    buffer.offer(samples(0, [0] * 10))
    assert len(saved(buffer, tmp_path)) - empty == 10 * (RECORD + LABEL)


def test_a_damaged_or_foreign_file_is_refused_by_its_name(tmp_path):
    path = tmp_path / "memory.bin"
    buffer = memory(2000, "jpeg")
    buffer.offer(samples(0, [0, 1] * 4))
    good = saved(buffer, tmp_path)
    bad = [b"", good[:5], b"PNG" + good[3:], good[:7] + b"\x09" + good[8:], good[:-1], good + b"\0"]
    for at in range(8, len(good), 97):
        bad.append(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
    for data in bad:
        path.write_bytes(data)
        with pytest.raises(UserError, match=r"memory\.bin"):
            ByteBudgetBuffer.load(path)
    with pytest.raises(UserError, match="nowhere"):
        ByteBudgetBuffer.load(tmp_path / "nowhere")


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    buffer = memory(2000)
    old = saved(buffer, tmp_path)
    buffer.offer(samples(0, [0, 1]))

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        buffer.save(tmp_path / "memory.bin")
    assert (tmp_path / "memory.bin").read_bytes() == old
    assert os.listdir(tmp_path) == ["memory.bin"]


@given(st.lists(st.integers(0, 2**40)))
def test_varints_come_back_and_take_the_bytes_that_were_counted(values):
    data = write_varints(np.array(values, np.int64))
    decoded, used = read_varints(np.frombuffer(data + b"\x80\x01", np.uint8), len(values))
    assert decoded.tolist() == values
    assert used == len(data) == sum(varint_bytes(value) for value in values)
