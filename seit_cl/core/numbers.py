"""Numbers as people read them."""

from __future__ import annotations


def significant(value: float, digits: int) -> str:
    """A number with that many significant digits, never in exponential notation."""
    rounded = float(f"{value:.{digits}g}")
    return f"{rounded:,.15g}"


def duration(seconds: float) -> str:
    """A time in the unit that suits it: "14 s", "3 min" or "2.5 h".

    Args:
        seconds: 0 or more, finite.
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
