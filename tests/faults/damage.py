"""Damage to files: flipped bits and cuts at random places, and what a reader makes of them.

`python -m pytest tests/faults -m slow` runs the large sample; a small one is in every `make test`.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seit_cl.core.errors import UserError

FLIPS = 500  # of the large sample, a kind of file
CUTS = 100
SMALL_FLIPS = 24
SMALL_CUTS = 6


@dataclass(frozen=True)
class Subject:
    """A file and its reader.

    Args:
        path: the file.
        read: reads it and returns a value that differs where anything that was read differs;
            compared by repr.
        heals: True for a cache, which its reader makes again instead of refusing it.
    """

    path: Path
    read: Callable[[], Any]
    heals: bool = False


@dataclass
class Outcomes:
    """Outcomes of reading damaged files.

    Args:
        counts: by outcome: "named" for one line that names the file, "same" where what was read is
            what had been written, "silent" and "traceback".
        examples: of the last two.
    """

    counts: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    @property
    def wrong(self) -> int:
        """Damage that was accepted or ended in a traceback."""
        return self.counts["silent"] + self.counts["traceback"]


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
        subject.path.unlink()
        subject.path.write_bytes(data)
        outcome, found = _read(subject, expected)
        outcomes.counts[outcome] += 1
        if outcome in ("silent", "traceback"):
            outcomes.examples.append(f"{subject.path.name}, {description}: {found}")
    subject.path.unlink(missing_ok=True)
    subject.path.write_bytes(whole)
    return outcomes


def _read(subject: Subject, expected: str) -> tuple[str, str]:
    """Read a damaged file: the outcome, and what was found."""
    try:
        found = repr(subject.read())
    except UserError as error:
        text = str(error)
        is_named = subject.path.name in text and len(text.splitlines()) == 1
        return ("named" if is_named and not subject.heals else "traceback"), text
    except Exception as error:
        return "traceback", repr(error)
    return ("same" if found == expected else "silent"), found[:200]
