"""Markdown pages of measurements: tables, and a heading with the command and the machine."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import torch

from seit_cl.core.files import write_atomic
from seit_cl.core.machine import machine_line


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose first column is left-aligned and whose others are right-aligned."""
    alignment = ["---"] + ["---:"] * (len(head) - 1)
    lines = [head, alignment, *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def typed_command(module: str) -> str:
    """The command line of this process, written as `python -m module ...`."""
    return shlex.join(["python", "-m", module, *sys.argv[1:]])


def page(title: str, command: str, device: torch.device, sections: Sequence[str]) -> str:
    """A Markdown page that opens with the command, the machine and the date of its numbers."""
    origin = f"`{command}`\n\n{machine_line(device)}; {date.today().isoformat()}"
    return "\n\n".join([f"# {title}", origin, *sections]) + "\n"


def publish(text: str, path: Path | None) -> None:
    """Print a page and, if a path is given, write it there."""
    print(text)
    write_page(text, path)


def write_page(text: str, path: Path | None) -> None:
    """Write a page, if a path is given; its folder is made."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, text)
