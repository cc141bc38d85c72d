"""Numbers as people read them."""

from __future__ import annotations


def significant(value: float, digits: int) -> str:
    """A number with that many significant digits, never in exponential notation."""
    rounded = float(f"{value:.{digits}g}")
    return f"{rounded:,.15g}"
