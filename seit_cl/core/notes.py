"""Notes about files for whoever runs a command or uses the library: one line each.

They go to the logger of this module, so that programs can filter them. Python prints what no
program has made a handler for on standard error, a line each.
"""

from __future__ import annotations

import logging
import sys

from seit_cl.core.names import printable

LOGGER = logging.getLogger(__name__)
_said: set[str] = set()


class _Lines(logging.Handler):
    """Notes as lines on standard error, whichever file that is at the time."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print a note."""
        print(f"note: {printable(record.getMessage())}", file=sys.stderr)


_LINES = _Lines()


def note(text: str) -> None:
    """Say something about a file that a user should know and that stops nothing.

    Args:
        text: one line that names the file; said once in a process.
    """
    if text not in _said:
        _said.add(text)
        LOGGER.warning(text)


def note_no_digest(path: object) -> None:
    """Say of a file of an earlier version that its contents cannot be compared with a digest."""
    note(f"{path}: of an earlier version of seit_cl, without a digest; read as it is")


def print_notes_as_lines() -> None:
    """Print notes as commands do, with the word note before them."""
    LOGGER.addHandler(_LINES)  # once, however often it is called


def silence_notes() -> None:
    """Say no notes in this process, where another one says the same."""
    LOGGER.setLevel(logging.ERROR)
