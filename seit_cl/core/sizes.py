"""Sizes in MB and numbers of operations as people write them: 0.02, 20kB, 1.5GB; 2e13, 20T."""

from __future__ import annotations

import re
from collections.abc import Callable
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
_PREFIXES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "p": 10**15, "e": 10**18}
_FLOPS_EXAMPLES = "write it as 2e13, or with a prefix as 20T or 0.5PFLOP"
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


def check_budget(name: str, budget_mb: float, remedy: str = "") -> None:
    """Refuse a budget in MB that no memory can have.

    Args:
        name: the option, which starts the message.
        budget_mb: in MB.
        remedy: what else to do; "" for nothing.

    Raises:
        UserError: naming the range.
    """
    if not 1e-6 <= budget_mb <= 1e12:
        end = f"; {remedy}" if remedy else ""
        raise UserError(f"{name} {budget_mb:g}: must be from one byte, 0.000001, to 1e12{end}")


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


def operations(text: str, name: str) -> float:
    """Read a number of floating-point operations, with or without a decimal prefix.

    Args:
        text: "2e13", "20T", "20TFLOP" and "0.02PFLOPs" are the same number; upper and lower case
            are equivalent.
        name: the option, which starts an error message.

    Raises:
        UserError: no number, or no prefix from k to E.
    """
    try:
        return float(text)
    except ValueError:
        pass
    match = _NUMBER_AND_UNIT.fullmatch(text.strip())
    if match is None or match.group(1).count(".") > 1 or match.group(1).strip(".") == "":
        raise UserError(f"{name} {text}: not a number of operations; {_FLOPS_EXAMPLES}")
    number, unit = match.groups()
    prefix = unit.lower().removesuffix("s").removesuffix("flop")
    if prefix not in _PREFIXES:
        raise UserError(f"{name} {text}: unknown prefix; {_FLOPS_EXAMPLES}")
    return float(Decimal(number) * _PREFIXES[prefix])


def size_reader(name: str) -> Any:
    """Metadata that makes tyro read an `Annotated[float, ...]` with `megabytes`.

    Args:
        name: the option's flag, for messages.
    """
    return _reader("SIZE", lambda text: megabytes(text, name))


def operations_reader(name: str) -> Any:
    """Metadata that makes tyro read an `Annotated[float, ...]` with `operations`.

    Args:
        name: the option's flag, for messages.
    """
    return _reader("FLOPS", lambda text: operations(text, name))


def _reader(metavar: str, read: Callable[[str], float]) -> Any:
    """Metadata that makes tyro read a number with a function, and write it as a plain one."""
    return tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar=metavar,
        instance_from_str=lambda words: read(words[0]),
        is_instance=lambda value: isinstance(value, int | float),
        str_from_instance=lambda value: [f"{value:.12g}"],
    )
