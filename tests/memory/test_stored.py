"""A memory's file, read back: whose numbers contradict one another is refused."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from helpers import levelled_samples
from helpers.memory_samples import CONTEXT, FIELDS, extras, load, memory, samples
from helpers.random_entropy import random_model
from seit_cl.core.errors import UserError
from seit_cl.data.samples import Samples
from seit_cl.formats._records import Records
from seit_cl.formats.base import FittedFormat
from seit_cl.memory import ByteBudgetBuffer
from seit_cl.memory.exemplar_fields import TensorSpec
from seit_cl.memory.file import FileHeader, read_body, read_header, write_body
from seit_cl.memory.stored import StoredMemory
from seit_cl.tokenizers import open_tokenizer

EIGHT = [0, 1, 2, 3] * 2


def body_of(buffer: ByteBudgetBuffer, folder: Path) -> memoryview:
    """Everything after the checksum of a memory's file."""
    buffer.save(folder / "saved.bin")
    return read_body(folder / "saved.bin")


def stored(body: bytes | memoryview, **rest: Any) -> StoredMemory:
    """The content of a file of one of the memories of `helpers.memory_samples`."""
    entropy_model = rest.pop("entropy_model", CONTEXT.entropy_model)
    tokenizer = rest.pop("tokenizer", None)
    return StoredMemory.of(memoryview(body), "memory.bin", entropy_model, tokenizer)


def with_header(body: memoryview, **numbers: Any) -> bytes:
    """The body of a file with other numbers in its header."""
    header, rest = read_header(body)
    return replace(header, **numbers).to_bytes() + rest


# ---------------------------------------------------------------- what a file has
SPECS = ["tokens", "jpeg", "jpeg:quality=auto", "tokens:coder=table"]


@pytest.mark.parametrize("spec", SPECS)
@settings(max_examples=6, deadline=None)
@given(
    labels=st.lists(st.integers(0, 4), min_size=1, max_size=20),
    fields=st.sampled_from([{}, FIELDS]),
    limit=st.sampled_from([0, 3]),
)
def test_what_was_read_is_the_file_when_it_is_written_again(
    spec: str,
    labels: list[int],
    fields: dict[str, TensorSpec],
    limit: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    live = memory(4000, spec, exemplar_fields=fields, max_exemplars=limit)
    if isinstance(live.fmt, FittedFormat):
        live.fit(samples(0, EIGHT), lambda images: images.float().mean((2, 3)))
    live.offer(samples(0, labels), extras(0, len(labels)) if fields else None)
    body = body_of(live, tmp_path_factory.mktemp("file"))
    read = stored(body)
    exemplars = read.exemplars(fields, read.fmt.fixed_length)
    parts = exemplars.parts(read.context.classes, read.fmt.fixed_length)
    assert b"".join([read.header.to_bytes(), *parts]) == body
    assert read.context == live.context
    assert read.fmt.spec == live.fmt.spec


def test_a_fitted_format_comes_back_fitted(tmp_path: Path) -> None:
    live = memory(4000, "jpeg:quality=auto")
    live.fit(samples(0, EIGHT), lambda images: images.float().mean((2, 3)))
    fmt = stored(body_of(live, tmp_path)).fmt
    assert isinstance(fmt, FittedFormat)
    assert isinstance(live.fmt, FittedFormat)
    assert not fmt.unfitted
    assert fmt.chosen == live.fmt.chosen != ""
    assert fmt.side_info == live.fmt.side_info != b""


# ---------------------------------------------------------------- its tokenizer
def test_a_memory_of_pixels_without_a_tokenizer_is_refused_with_one(tmp_path: Path) -> None:
    body = body_of(ByteBudgetBuffer.of("raw", 20_000, classes=3, resolution=32), tmp_path)
    tokenizer = open_tokenizer()
    with pytest.raises(UserError, match=f"its tokenizer is none, not {tokenizer.identity}; open"):
        stored(body, tokenizer=tokenizer)


def test_another_tokenizer_is_named_before_its_probabilities_are_missed(tmp_path: Path) -> None:
    body = body_of(memory(3000, "tokens:coder=context"), tmp_path)
    tokenizer = open_tokenizer()
    with pytest.raises(UserError, match=f"its tokenizer is test, not {tokenizer.identity}; open"):
        stored(body, tokenizer=tokenizer)


def bundled_memory(tmp_path: Path) -> tuple[torch.Tensor, memoryview]:
    """Token grids of the bundled tokenizer, entropy coded in a memory; the body of its file."""
    tokenizer = open_tokenizer()
    images = torch.arange(4 * 3 * 32 * 32).view(4, 3, 32, 32).to(torch.uint8)
    tokens = tokenizer.encode(images)
    live = ByteBudgetBuffer.of(
        "tokens:coder=table", 20_000, classes=4, resolution=32, tokenizer=tokenizer
    )
    live.offer(Samples.of_tokens(tokens, [0, 1, 2, 3]))
    return tokens, body_of(live, tmp_path)


def test_a_tokenizer_brings_the_probabilities_of_its_codes(tmp_path: Path) -> None:
    tokens, body = bundled_memory(tmp_path)
    read = stored(body, entropy_model=None, tokenizer=open_tokenizer())
    assert read.context.entropy_model is not None
    exemplars = read.exemplars({}, None)
    records = Records.from_bytes([record.tobytes() for record, _, _ in exemplars.each()])
    assert torch.equal(read.fmt.decode(records), tokens[exemplars.labels])


def test_a_model_that_is_given_takes_the_place_of_the_tokenizers(tmp_path: Path) -> None:
    _, body = bundled_memory(tmp_path)
    tokenizer = open_tokenizer()
    codes = tokenizer.codebook.shape[1]
    other = random_model(codes, tokenizer=tokenizer.identity)
    with pytest.raises(UserError, match="another entropy model"):
        stored(body, entropy_model=lambda: other, tokenizer=tokenizer)


# ---------------------------------------------------------------- headers that contradict
def test_as_many_exemplars_as_the_limit_are_read_and_one_more_is_refused(tmp_path: Path) -> None:
    buffer = memory(10_000, max_exemplars=8)
    buffer.offer(samples(0, EIGHT))
    body = body_of(buffer, tmp_path)
    assert stored(body).header.count == 8
    with pytest.raises(ValueError, match="8 exemplars, and a limit of 7"):
        stored(with_header(body, max_exemplars=7))


@settings(max_examples=20, deadline=None)
@example(missing=0, spec="tokens")
@example(missing=1, spec="jpeg")
@given(missing=st.integers(-3, 400), spec=st.sampled_from(["tokens", "jpeg"]))
def test_a_file_is_read_if_its_budget_allows_it_and_not_a_byte_more(
    missing: int, spec: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    buffer = memory(3000, spec, exemplar_fields=FIELDS)
    buffer.offer(samples(0, EIGHT), extras(0, 8))
    folder = tmp_path_factory.mktemp("file")
    body = body_of(buffer, folder)
    budget = buffer.used_bytes - missing
    write_body(folder / "memory.bin", with_header(body, budget=budget))
    if missing <= 0:
        again = load(folder / "memory.bin")
        assert again.used_bytes <= again.budget_bytes == budget
        return
    with pytest.raises(UserError, match=f"{buffer.used_bytes:,} bytes, and a budget of {budget:,}"):
        load(folder / "memory.bin")


@pytest.mark.parametrize("cuts", [False, True])
def test_a_flag_of_levels_that_its_policy_does_not_have_is_refused(
    cuts: bool, tmp_path: Path
) -> None:
    buffer = levelled_samples.memory(3000) if cuts else memory(3000)
    body = body_of(buffer, tmp_path)
    assert stored(body).header.levels == cuts
    with pytest.raises(ValueError, match="its flags contradict its policy class-balanced"):
        stored(with_header(body, levels=not cuts))


@pytest.mark.parametrize("more", [-1, 1])
@pytest.mark.parametrize("spec", ["tokens", "jpeg"])
def test_another_number_of_exemplars_than_the_file_has_is_refused(
    spec: str, more: int, tmp_path: Path
) -> None:
    buffer = memory(3000, spec)
    buffer.offer(samples(0, EIGHT))
    body = body_of(buffer, tmp_path)
    read = stored(with_header(body, count=len(buffer) + more))
    with pytest.raises(ValueError, match=r"exemplars in|other sizes|varint|cut off"):
        read.exemplars({}, read.fmt.fixed_length)


@pytest.mark.parametrize("classes", [4, 3])
def test_a_label_outside_of_the_classes_is_refused(classes: int, tmp_path: Path) -> None:
    buffer = memory(3000, policy="reservoir")
    buffer.offer(samples(0, EIGHT))
    body = body_of(buffer, tmp_path)
    read = stored(with_header(body, context=replace(buffer.context, classes=classes)))
    if classes == 4:
        assert sorted(read.exemplars({}, 16).labels) == sorted(EIGHT)
        return
    with pytest.raises(ValueError, match="label 3 of 3 classes"):
        read.exemplars({}, 16)


# ---------------------------------------------------------------- names of plugins
def test_a_file_that_names_a_python_class_imports_nothing(tmp_path: Path) -> None:
    body = body_of(memory(2000, "raw"), tmp_path)
    for other in ({"spec": "x.y"}, {"policy": "lib2to3.pgen.X"}):
        (name,) = other.values()
        module = name.rpartition(".")[0]
        assert module not in sys.modules
        with pytest.raises(UserError, match=f"import {module} first"):
            stored(with_header(body, **other))
        assert module not in sys.modules


def test_a_header_says_what_the_memory_does(tmp_path: Path) -> None:
    buffer = memory(budget=700, policy="reservoir", seed=11)
    buffer.offer(samples(0, EIGHT * 5))
    header: FileHeader = stored(body_of(buffer, tmp_path)).header
    assert (header.budget, header.seed, header.offered) == (700, 11, 40)
    assert (header.count, header.full, header.skipped) == (len(buffer), True, 0)
    assert header.nbytes + len(header.side_info) == buffer.used_bytes - 17 * len(buffer)
