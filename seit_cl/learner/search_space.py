"""Ranges of hyperparameters, which a strategy declares for tuning (`python -m seit_cl.tune`).

A range stands beside the default in the strategy's options:

    @dataclass(frozen=True)
    class Options:
        replay_weight: float = searched(2.0, LogUniform(0.1, 10.0))
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from seit_cl.core.options import RANGE, Range

_SEARCH = "search"  # key in the metadata of an option


@dataclass(frozen=True)
class LogUniform:
    """Numbers whose logarithm is uniform: every factor of ten is as likely as the next.

    Args:
        low: above 0.
        high: above low.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        """Check the order of the ends."""
        assert 0 < self.low < self.high, self

    def __contains__(self, value: Any) -> bool:
        return bool(self.low <= value <= self.high)

    def __str__(self) -> str:
        return f"log-uniform from {self.low:g} to {self.high:g}"


@dataclass(frozen=True)
class Uniform:
    """Uniform numbers.

    Args:
        low: the smallest.
        high: above low.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        """Check the order of the ends."""
        assert self.low < self.high, self

    def __contains__(self, value: Any) -> bool:
        return bool(self.low <= value <= self.high)

    def __str__(self) -> str:
        return f"uniform from {self.low:g} to {self.high:g}"


class Choices:
    """Some values, in an order in which neighbours are alike.

    Args:
        values: two or more, of one type.
    """

    def __init__(self, *values: Any) -> None:
        assert len(values) > 1, values
        self.values = values

    def __contains__(self, value: Any) -> bool:
        return value in self.values

    def __str__(self) -> str:
        return f"one of {', '.join(map(str, self.values))}"


SearchRange = LogUniform | Uniform | Choices


def searched(default: Any, within: SearchRange, valid: Range | None = None) -> Any:
    """An option of a strategy that tuning tries values of, as a field of its Options.

    Args:
        default: its default value, which the range holds.
        within: the values that are tried.
        valid: the values that a user may give; None: every finite one.
    """
    return field(default=default, metadata={_SEARCH: within, RANGE: valid})


def search_ranges(options_type: type[Any]) -> dict[str, SearchRange]:
    """Ranges of the options made by `searched`, by name.

    Args:
        options_type: a dataclass.
    """
    ranges: dict[str, SearchRange] = {}
    for option in fields(options_type):
        if _SEARCH in option.metadata:
            ranges[option.name] = option.metadata[_SEARCH]
    return ranges
