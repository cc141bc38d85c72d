"""Names of files from texts of other files."""

from __future__ import annotations

from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seit_cl.core.names import LONGEST, safe_name

HOSTILE = {
    "../../x": "x",
    "/etc/passwd": "etc-passwd",
    "C:\\x": "C-x",
    "a\0b": "a-b",
    "NUL": "_NUL",
    "com1.txt": "_com1.txt",
    "..": "tokens",
    "": "tokens",
    "name. ": "name",
    "-rf": "rf",
    "imagenet1k": "imagenet1k",
    "codebook-synonyms.json": "codebook-synonyms.json",
    "n" * 5000: "n" * LONGEST,
}


@pytest.mark.parametrize("text", HOSTILE)
def test_a_text_becomes_a_base_name_of_safe_characters(text: str) -> None:
    assert safe_name(text, "tokens") == HOSTILE[text]


@given(st.text(max_size=300))
def test_every_text_becomes_one_name_that_every_file_system_takes(text: str) -> None:
    name = safe_name(text, "tokens")
    assert 0 < len(name) <= LONGEST + 1
    assert name == PurePosixPath(name).name == PureWindowsPath(name).name
    assert name.isascii()
    assert name[0] not in ".-"
    assert name[-1] not in ". "
    assert safe_name(name, "tokens") == name
