"""Texts and numbers of any kind in files and specs are refused in one line, and take no memory."""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers.memory_samples import memory, samples
from seit_cl.command_line import yaml_arguments
from seit_cl.core.errors import UserError
from seit_cl.core.specs import read_literal
from seit_cl.core.yaml_text import read_yaml
from seit_cl.data.class_lists import read_class_lists
from seit_cl.data.folder import list_folder
from seit_cl.datasets import list_data
from seit_cl.memory.buffer import ByteBudgetBuffer
from seit_cl.memory.file import read_body, write_body
from seit_cl.results.run_files import read_run
from seit_cl.tokenizers import open_tokenizer, resolved_spec


def laughs(value: str) -> str:
    """YAML whose last value stands for 10^12 ones, by aliases of aliases (CWE-776)."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    for level in range(1, 12):
        inner = ", ".join([f"*a{level - 1}"] * 10)
        lines.append(f"a{level}: &a{level} {value.format(inner)}")
    return "\n".join(lines)


TEXTS = {
    "aliases of aliases": laughs("[{}]"),
    "merged aliases": laughs("{{<<: [{}]}}").replace("[x, x, x, x, x, x, x, x, x, x]", "{x: 1}"),
    "an alias of itself": "&a [[*a]]",
    "deep": "[" * 50_000,
    "deep mappings": '{"a":' * 50_000,
    "deep lists": "- " * 50_000,
    "digits": f"[[{'9' * 5000}]]",
    "infinity": "[[Infinity]]",
    "a NUL": "[[\0]]",
    "not UTF-8": "\udcff",
}


REFUSED = ("deep", "deep mappings", "aliases of aliases", "merged aliases", "an alias of itself")


@pytest.mark.parametrize("what", TEXTS)
@pytest.mark.parametrize("suffix", [".yaml", ".json"])
def test_strange_texts_are_refused_or_read_by_every_reader(
    what: str, suffix: str, tmp_path: Path
) -> None:
    path = tmp_path / f"x{suffix}"
    path.write_bytes(TEXTS[what].encode(errors="surrogateescape"))
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_bytes(path.read_bytes())
    (tmp_path / "run" / "facts.json").write_bytes(path.read_bytes())
    read_run(tmp_path / "run")
    readers: list[Callable[[], object]] = [
        lambda: read_class_lists([str(path)]),
        lambda: yaml_arguments(path),
    ]
    for read in readers:
        try:
            read()
            assert what not in REFUSED
        except UserError as error:
            assert f"x{suffix}" in str(error)
            assert len(str(error).splitlines()) == 1


def test_aliases_that_people_write_are_read() -> None:
    text = "base: &b {epochs: 3}\none: *b\nother: {<<: *b, batch: 4}"
    assert read_yaml(text)["other"] == {"epochs": 3, "batch": 4}


@pytest.mark.parametrize(
    "text", ["n" * 5000, "n" * 5000 + ".safetensors", "vqgan:" + "n" * 5000, "a\0b"]
)
def test_specs_of_any_length_are_refused_in_one_line(text: str) -> None:
    for read in (open_tokenizer, list_data):
        with pytest.raises(UserError) as error:
            read(text)
        assert len(str(error.value).splitlines()) == 1
    resolved_spec(text)


def test_a_literal_that_python_cannot_read_stays_a_text() -> None:
    for text in ("(" * 50_000, "9" * 5000, "-" * 50_000 + "1"):
        assert read_literal(text) == text


@pytest.mark.skipif(sys.platform != "linux", reason="names of any bytes")
def test_classes_whose_names_are_not_utf8_are_named(tmp_path: Path) -> None:
    for split in ("train", "val"):
        folder = os.path.join(os.fsencode(tmp_path), split.encode(), b"caf\xe9")
        os.makedirs(folder)
        with open(os.path.join(folder, b"1.jpg"), "wb"):
            pass
    with pytest.raises(UserError, match=r"the name caf\\udce9 is not UTF-8; rename it"):
        list_folder(tmp_path)


@pytest.mark.parametrize(
    ("offset", "kind", "value", "words"),
    [
        (64 - 8, "<Q", 2**40, "exemplars, of at most"),
        (28, "<I", 2**32 - 1, "classes, of at most"),
        (24, "<I", 2**32 - 1, "pixels on a side, of at most"),
        (12, "<I", 2**32 - 1, "codes of an image, of at most"),
    ],
)
def test_a_memory_that_claims_more_than_it_has_is_refused(
    offset: int, kind: str, value: int, words: str, tmp_path: Path
) -> None:
    buffer = memory(2000, "jpeg")
    buffer.offer(samples(0, [0, 1] * 4))
    buffer.save(tmp_path / "memory.bin")
    body = bytearray(read_body(tmp_path / "memory.bin"))
    struct.pack_into(kind, body, offset, value)
    write_body(tmp_path / "memory.bin", bytes(body))
    with pytest.raises(UserError, match=words):
        ByteBudgetBuffer.load(tmp_path / "memory.bin")
