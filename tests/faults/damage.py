"""Damage to files: flipped bits and cuts at random places, and what a reader makes of them.

`make faults` tries all kinds of files with large samples; small ones are in every `make test`.
"""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seit_cl.core import notes
from seit_cl.core.errors import UserError

FLIPS = 500  # of the large sample, a kind of file
CUTS = 100
SMALL_FLIPS = 12
SMALL_CUTS = 4
# Outcomes, and those of them that are wrong.
NAMED = "named"  # one line that names the file
MADE_AGAIN = "made again"  # a cache, with a note that names it
UNHARMED = "unharmed"  # what was read is what had been written
UNTOLD = "untold"  # other contents of a format that has no checksum
SILENT = "silent"  # other contents
TRACEBACK = "traceback"  # anything but one line that names the file
OUTCOMES = (NAMED, MADE_AGAIN, UNHARMED, UNTOLD, SILENT, TRACEBACK)
WRONG = (SILENT, TRACEBACK)


@dataclass(frozen=True)
class Subject:
    """A file and its reader.

    Args:
        path: the file.
        read: reads it and returns a value that differs where anything that was read differs;
            compared by repr.
        heals: True for a cache, which its reader makes again instead of refusing it.
        named: what an error has to name; "": the file.
        has_checksum: False for a format of other projects that has none.
    """

    path: Path
    read: Callable[[], Any]
    heals: bool = False
    named: str = ""
    has_checksum: bool = True


@dataclass
class Outcomes:
    """Outcomes of reading damaged files.

    Args:
        counts: by outcome.
        examples: of those that are wrong.
    """

    counts: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    @property
    def wrong(self) -> int:
        """Damage that was accepted or ended in a traceback."""
        return sum(self.counts[outcome] for outcome in WRONG)


def damage(data: bytes, flips: int, cuts: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Yield descriptions of damage, and the damaged bytes; every seed gives other places."""
    places = random.Random(seed)
    for _ in range(flips):
        place = places.randrange(len(data))
        bit = places.randrange(8)
        changed = bytearray(data)
        changed[place] ^= 1 << bit
        yield f"bit {bit} of byte {place}", bytes(changed)
    for _ in range(cuts):
        length = places.randrange(len(data))
        yield f"cut to {length} bytes", data[:length]


def try_damage(subject: Subject, flips: int, cuts: int, seed: int = 0) -> Outcomes:
    """Damage a file in many places, one at a time, and read it; the file is whole afterwards."""
    whole = subject.path.read_bytes()
    expected = repr(subject.read())
    outcomes = Outcomes()
    for description, data in damage(whole, flips, cuts, seed):
        # A new file: the old one may be mapped by what was read from it.
        subject.path.unlink(missing_ok=True)
        subject.path.write_bytes(data)
        outcome, found = _read(subject, expected)
        outcomes.counts[outcome] += 1
        if outcome in WRONG:
            outcomes.examples.append(f"{subject.path.name}, {description}: {found}")
    subject.path.unlink(missing_ok=True)
    subject.path.write_bytes(whole)
    return outcomes


def _read(subject: Subject, expected: str) -> tuple[str, str]:
    """Read a damaged file: the outcome, and what was found."""
    with noted() as lines:
        try:
            found = repr(subject.read())
        except UserError as error:
            text = str(error)
            names = (subject.named or subject.path.name) in text
            return (NAMED if names and len(text.splitlines()) == 1 else TRACEBACK), text
        except Exception as error:
            return TRACEBACK, repr(error)
    if found != expected:
        return (SILENT if subject.has_checksum else UNTOLD), found[:200]
    was_noted = any(subject.path.name in line for line in lines)
    return (MADE_AGAIN if subject.heals and was_noted else UNHARMED), ""


@contextmanager
def noted() -> Iterator[list[str]]:
    """Collect the notes about files, each as if it were the first."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    notes._said.clear()
    notes.LOGGER.addHandler(handler)
    propagates, notes.LOGGER.propagate = notes.LOGGER.propagate, False
    try:
        yield lines
    finally:
        notes.LOGGER.removeHandler(handler)
        notes.LOGGER.propagate = propagates
