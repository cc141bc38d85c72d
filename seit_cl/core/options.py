"""Options of a command, each declared once: name, type, default, help line and range.

An option is a field of a frozen dataclass that subclasses `CheckedOptions`:

    @dataclass(frozen=True)
    class Optimisation(CheckedOptions):
        warmup: float = option(0.1, "share of steps for the warm-up", PROBABILITY)

A run's configuration inherits from all such dataclasses. So it is flat, on the command line, in
YAML and in Python, and a new option is one new field.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import Field, dataclass, field, fields
from typing import Any, TypeVar

from seit_cl.core.errors import UserError

T = TypeVar("T")
_HELP = "help"
RANGE = "range"  # key in the metadata of a field


@dataclass(frozen=True)
class Range:
    """The values that an option may have.

    Args:
        contains: returns True for an allowed value.
        text: completes "must be", e.g. "at least 1".
    """

    contains: Callable[[float], bool]
    text: str


AT_LEAST_1 = Range(lambda value: value >= 1, "at least 1")
NOT_NEGATIVE = Range(lambda value: 0 <= value < math.inf, "0 or more")
POSITIVE = Range(lambda value: 0 < value < math.inf, "above 0")
PROBABILITY = Range(lambda value: 0 <= value <= 1, "from 0 to 1")
NUMPY_SEED = Range(lambda value: 0 <= value < 2**32, "from 0 to 4294967295")
AREA = Range(lambda value: 0 < value <= 1, "a fraction above 0 and up to 1")


def ranged(default: Any, within: Range) -> Any:
    """Declare an option of a plugin with the values that it may have, as a field of its Options.

    Args:
        default: its default value.
        within: its range.
    """
    return field(default=default, metadata={RANGE: within})


def option(default: Any, help: str, within: Range | None = None) -> Any:
    """Declare an option, as a field of a frozen dataclass.

    Args:
        default: its default value.
        help: its line of --help.
        within: its range; None if every value of its type is allowed.
    """
    return field(default=default, metadata={_HELP: help, RANGE: within})


@dataclass(frozen=True)
class CheckedOptions:
    """Options that refuse values outside their ranges."""

    def __post_init__(self) -> None:
        """Check every range.

        Raises:
            UserError: naming the option, its value and its range.
        """
        for declared in fields(self):
            check_range(declared, getattr(self, declared.name))


def check_range(declared: Field[Any], value: Any) -> None:
    """Refuse a value outside the range of an option.

    Args:
        declared: the option's field of its dataclass.
        value: of the option.

    Raises:
        UserError: naming the option, its value and its range.
    """
    rule = broken_rule(declared, value)
    if rule:
        raise UserError(f"{flag(declared.name)} {value:g}: must be {rule}")


def broken_rule(declared: Field[Any], value: Any) -> str:
    """Return what a value must be and is not; "" for one that is allowed.

    Args:
        declared: the option's field of its dataclass.
        value: of the option.
    """
    within: Range | None = declared.metadata.get(RANGE)
    if within is not None and not within.contains(value):
        return within.text
    return ""


def flag(name: str) -> str:
    """Spell an option's name as on the command line: "--replay-batch" for "replay_batch"."""
    return f"--{name.replace('_', '-')}"


def help_line(options_type: type[Any], name: str) -> str:
    """Return the help line of an option of a dataclass.

    Raises:
        KeyError: the dataclass has no such option.
    """
    for declared in fields(options_type):
        if declared.name == name:
            return str(declared.metadata[_HELP])
    raise KeyError(name)


def select(options: Any, part: type[T]) -> T:
    """Take the options that belong to one part of a configuration.

    Args:
        options: a dataclass with at least the part's options.
        part: the dataclass to build.
    """
    names = [declared.name for declared in fields(part)]  # type: ignore[arg-type]
    return part(**{name: getattr(options, name) for name in names})
