"""Markdown pages of measurements: tables, the command, the machine."""

import sys
from pathlib import Path

import pytest
import torch

from seit_cl.core.machine import machine_line
from seit_cl.reporting.markdown import page, publish, table, typed_command


def test_a_table_aligns_numbers_right() -> None:
    lines = table(["name", "bytes"], [["a", "1"], ["b", "20"]]).splitlines()
    assert lines == ["| name | bytes |", "| --- | ---: |", "| a | 1 |", "| b | 20 |"]


def test_the_command_is_quoted_for_a_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["x", "--out", "a folder"])
    assert typed_command("studies.curves") == "python -m studies.curves --out 'a folder'"


def test_a_page_is_printed_and_written_with_its_origin(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cpu = torch.device("cpu")
    text = page("Title", "python -m x", cpu, ["first", "second"])
    publish(text, tmp_path / "new" / "page.md")
    assert (tmp_path / "new" / "page.md").read_text() == text
    assert capsys.readouterr().out == text + "\n"
    assert text.startswith(f"# Title\n\n`python -m x`\n\n{machine_line(cpu)}; ")
    assert text.endswith("\n\nfirst\n\nsecond\n")
