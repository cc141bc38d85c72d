"""Notes about files for whoever runs a command: a warning each, printed by commands as one line."""

from __future__ import annotations

import sys
import warnings
from typing import TextIO


class FileNote(UserWarning):
    """Something about a file that a user should know and that stops nothing."""


def note(text: str) -> None:
    """Issue a note, once in a process for every text.

    Args:
        text: one line that names the file.
    """
    warnings.warn(text, FileNote, stacklevel=2)


def note_no_digest(path: object) -> None:
    """Say of a file of an earlier version that its contents cannot be compared with a digest."""
    note(f"{path}: of an earlier version of seit_cl, without a digest; read as it is")


def print_notes_as_lines() -> None:
    """Print notes as one line on standard error, and other warnings as Python does."""
    usual = warnings.showwarning

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if issubclass(category, FileNote):
            print(f"note: {message}", file=file or sys.stderr)
        else:
            usual(message, category, filename, lineno, file, line)

    warnings.showwarning = show
