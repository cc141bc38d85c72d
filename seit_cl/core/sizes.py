"""Sizes in MB as people write them: 0.02, 20kB, 100MB, 1.5GB."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import tyro

from seit_cl.core.errors import UserError

# Decimal units in MB, by their lower-case spelling, and how each is written.
_UNITS = {
    "b": ("B", Decimal("1e-6")),
    "kb": ("kB", Decimal("1e-3")),
    "mb": ("MB", Decimal(1)),
    "gb": ("GB", Decimal("1e3")),
    "tb": ("TB", Decimal("1e6")),
}
# Powers of 1,024 and bare letters, which stand for either: their value in bytes.
_BINARY_UNITS = {"ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}
_NUMBER_AND_UNIT = re.compile(r"([0-9.]+(?:e[+-]?[0-9]+)?) ?([a-z]+)", re.IGNORECASE)
_EXAMPLES = "write it in MB, as 0.02, or in one word with its unit, as 20kB, 100MB or 1.5GB"


def megabytes(text: str, name: str) -> float:
    """Read a size: a number of MB (10^6 bytes), or a number with a decimal unit.

    Args:
        text: "0.02", "20kB" and "20000B" are the same size; upper and lower case are equivalent.
        name: the option, which starts an error message.

    Raises:
        UserError: no number, no unit of ours, or a binary unit; the message gives the right
            spelling.
    """
    try:
        return float(text)
    except ValueError:
        pass
    match = _NUMBER_AND_UNIT.fullmatch(text.strip())
    if match is None:
        if text.strip().lower() in _UNITS:
            raise UserError(f"{name} {text}: a unit without its number; {_EXAMPLES}")
        raise UserError(f"{name} {text}: not a size; {_EXAMPLES}")
    number, unit = match.groups()
    if number.count(".") > 1 or number.strip(".") == "":
        raise UserError(f"{name} {text}: not a size; {_EXAMPLES}")
    key = unit.lower()
    if key in _UNITS:
        return float(Decimal(number) * _UNITS[key][1])
    raise UserError(f"{name} {text}: {_advice(number, key)}")


def _advice(number: str, unit: str) -> str:
    """The right spelling of a size in another unit, as the end of a message."""
    if f"{unit}b" in _UNITS:
        written = _UNITS[f"{unit}b"][0]
        return f"a unit is kB, MB or GB, of 1,000, 10^6 or 10^9 bytes; write {number}{written}"
    binary = _BINARY_UNITS.get(unit.removesuffix("b"))
    if binary is None:
        return f"unknown unit; {_EXAMPLES}"
    exact = Decimal(number) * binary / 1_000_000
    return f"sizes are decimal, 1 MB = 1,000,000 bytes; write {exact.normalize():f}MB"


def size_reader(name: str) -> Any:
    """Metadata that makes tyro read an `Annotated[float, ...]` with `megabytes`.

    Args:
        name: the option's flag, for messages.
    """
    return tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="SIZE",
        instance_from_str=lambda words: megabytes(words[0], name),
        is_instance=lambda value: isinstance(value, int | float),
        str_from_instance=lambda value: [f"{value:.12g}"],
    )
