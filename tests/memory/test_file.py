"""The file: its size is the budget's measure, and nothing of a memory's behaviour is lost in it."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.memory_samples import CONTEXT, STORES, extras, load, memory, samples
from helpers.random_entropy import random_model
from seit_cl.core import plugins
from seit_cl.core.errors import UserError
from seit_cl.memory import POLICIES, ByteBudgetBuffer, TensorSpec
from seit_cl.memory.file import read_stores, read_varints, write_stores, write_varints

OFFERS = st.lists(st.lists(st.integers(0, 4), min_size=1, max_size=25), min_size=1, max_size=5)


def saved(buffer: ByteBudgetBuffer, folder: Path) -> bytes:
    buffer.save(folder / "memory.bin")
    assert os.path.getsize(folder / "memory.bin") == buffer.used_bytes <= buffer.budget_bytes
    assert os.listdir(folder) == ["memory.bin"]
    return (folder / "memory.bin").read_bytes()


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize(
    "spec", [*sorted(plugins.names("format")), "tokens:coder=table", "tokens:coder=context"]
)
@settings(max_examples=12, deadline=None)
@given(
    offers=OFFERS,
    spare=st.integers(0, 4000),
    with_extras=st.booleans(),
    seed=st.integers(0, 2**64 - 1),
)
def test_size_identity_and_continuation(policy, spec, offers, spare, with_extras, seed):
    exemplar_fields = STORES if with_extras else {}
    live = memory(1200 + spare, spec, policy, exemplar_fields, seed=seed)
    folder, start = Path(tempfile.mkdtemp()), 0
    loaded = live
    for labels in offers:
        for buffer in {id(live): live, id(loaded): loaded}.values():
            buffer.offer(
                samples(start, labels), extras(start, len(labels)) if with_extras else None
            )
        start += len(labels)
        data = saved(live, folder)
        assert saved(loaded, folder) == data
        loaded = load(folder / "memory.bin")
        assert saved(loaded, folder) == data
        n = min(3, len(live))
        draws = [b.sample(n, torch.Generator().manual_seed(start)) for b in (live, loaded)]
        assert torch.equal(draws[0].inputs, draws[1].inputs) and torch.equal(
            draws[0].labels, draws[1].labels
        )
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


@pytest.mark.parametrize("policy", POLICIES)
def test_resized_memories_continue_identically(policy, tmp_path):
    live = memory(3000, policy=policy)
    live.offer(samples(0, [i % 5 for i in range(150)]))
    live.resize(None, 1500)
    saved(live, tmp_path)
    loaded = ByteBudgetBuffer.load(tmp_path / "memory.bin")
    for buffer in (live, loaded):
        buffer.offer(samples(200, [i % 3 for i in range(100)]))
        buffer.resize(None, 1000)
    assert saved(live, tmp_path) == saved(loaded, tmp_path)


def test_a_loaded_memory_decodes_the_same_exemplars(tmp_path):
    for spec in ("raw", "jpeg:size=8", "tokens"):
        live = memory(5000, spec, exemplar_fields=STORES)
        live.offer(samples(0, [0, 1, 2] * 10), extras(0, 30))
        saved(live, tmp_path)
        loaded = ByteBudgetBuffer.load(tmp_path / "memory.bin")
        everything = torch.arange(len(live))
        a, b = live.by_ids(everything), loaded.by_ids(everything)
        assert torch.equal(a.inputs, b.inputs) and torch.equal(a.labels, b.labels)
        assert all(torch.equal(a.extras[name], b.extras[name]) for name in STORES)
        assert (
            loaded.fmt.spec == live.fmt.spec
            and loaded.context == live.context
            and loaded.exemplar_fields == live.exemplar_fields
        )


def test_fixed_length_costs_the_label_and_nothing_else(tmp_path):
    buffer = memory(5000)
    empty = len(saved(buffer, tmp_path))
    buffer.offer(samples(0, [0] * 10))
    assert len(saved(buffer, tmp_path)) - empty == 10 * (16 + 1)


def test_bad_files_are_named(tmp_path):
    path = tmp_path / "memory.bin"
    buffer = memory(2000, "jpeg")
    buffer.offer(samples(0, [0, 1] * 4))
    good = saved(buffer, tmp_path)
    bad = [b"", good[:5], b"PNG" + good[3:], good[:7] + b"\x09" + good[8:], good[:-1], good + b"\0"]
    bad += [good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :] for at in range(8, len(good), 97)]
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
    assert (tmp_path / "memory.bin").read_bytes() == old and os.listdir(tmp_path) == ["memory.bin"]


@given(st.lists(st.integers(0, 2**40)))
def test_varints(values):
    import numpy as np

    data = write_varints(np.array(values, np.int64))
    back, used = read_varints(np.frombuffer(data + b"\x80\x01", np.uint8), len(values))
    assert back.tolist() == values and used == len(data)


def test_extras_specs_as_text():
    assert (
        write_stores(STORES) == "logits=float16:5;step=int32:"
        and read_stores(write_stores(STORES)) == STORES
    )
    assert read_stores("") == {}
    with pytest.raises(ValueError, match="identifiers"):
        write_stores({"a;b": TensorSpec("int8", ())})
    for dtype in ("float17", "object", "str"):
        with pytest.raises(UserError, match=dtype):
            TensorSpec(dtype, (2,))
