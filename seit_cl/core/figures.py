"""Texts of figures, in which names of users are no formulas."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def literal_text() -> Iterator[None]:
    """Draw texts inside as they are; matplotlib reads formulas between two dollars otherwise.

    A name such as "$x^{$" would end a whole report. Ticks of logarithmic axes need a formatter
    without formulas.
    """
    import matplotlib  # commands list their options without it

    with matplotlib.rc_context({"text.parse_math": False}):
        yield
