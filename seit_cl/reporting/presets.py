"""Sizes of figures for the web, papers and slides: the one place that sets them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

import matplotlib


class Look(NamedTuple):
    """Sizes of a whole report.

    Args:
        font: points of ordinary text; legends and titles of panels are "small", ticks of small panels "x-small".
        widths: inches of a figure with one column of panels and of one with several; none: as wide as its panels ask for.
        titles: whether figures carry their title; a paper has captions instead (captions.md).
        line: width in points.
        marker: size in points.
        dots: per inch of PNG files.
        kinds: of files.
    """

    font: float
    widths: tuple[float, float] | None
    titles: bool
    line: float
    marker: float
    dots: int
    kinds: tuple[str, ...]


LOOKS = {
    "web": Look(10, None, True, 1.5, 5, 160, ("png", "svg")),
    "paper": Look(
        9, (3.25, 6.75), False, 1.1, 3.5, 300, ("png", "svg", "pdf")
    ),  # column and page of two-column LaTeX classes
    "slides": Look(
        16, (10.0, 12.6), True, 2.4, 8, 160, ("png", "svg", "pdf")
    ),  # inside a 13.3 x 7.5 inch slide
}
_look: ContextVar[Look] = ContextVar("look", default=LOOKS["web"])


def look() -> Look:
    """The look of the report that is being made."""
    return _look.get()


@contextmanager
def looking(name: str) -> Iterator[Look]:
    """Figures made and saved inside have the look of that name in LOOKS."""
    chosen = LOOKS[name]
    token = _look.set(chosen)
    sizes: Any = {
        "font.size": chosen.font,
        "axes.titlesize": "small",
        "axes.labelsize": "small",
        "xtick.labelsize": "small",
        "ytick.labelsize": "small",
        "legend.fontsize": "small",
        "lines.linewidth": chosen.line,
        "lines.markersize": chosen.marker,
        "axes.linewidth": 0.55 * chosen.line,
        "pdf.fonttype": 42,
        "svg.hashsalt": "seit_cl",
    }
    try:
        with matplotlib.rc_context(sizes):
            yield chosen
    finally:
        _look.reset(token)
