"""Sizes of figures for the web, papers and slides; no other file sets sizes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from seit_cl.core.figures import literal_text


@dataclass(frozen=True)
class Preset:
    """Sizes of all figures of a report.

    Args:
        font: size of ordinary text in points; legends and titles of panels are "small", ticks of
            small panels "x-small".
        widths: width in inches of a figure with one column of panels, and of one with several;
            None: the panels' own.
        titles: whether figures carry their title; a paper has captions instead (captions.md).
        line: width of lines in points.
        marker: size of markers in points.
        dpi: dots per inch of PNG files.
        suffixes: the files that are written of every figure.
    """

    font: float
    widths: tuple[float, float] | None
    titles: bool
    line: float
    marker: float
    dpi: int
    suffixes: tuple[str, ...]


PRESETS = {
    "web": Preset(
        font=10,
        widths=None,
        titles=True,
        line=1.5,
        marker=5,
        dpi=160,
        suffixes=("png", "svg"),
    ),
    "paper": Preset(
        font=9,
        widths=(3.25, 6.75),  # column and page of two-column LaTeX classes
        titles=False,
        line=1.1,
        marker=3.5,
        dpi=300,
        suffixes=("png", "svg", "pdf"),
    ),
    "slides": Preset(
        font=16,
        widths=(10.0, 12.6),  # inside a slide of 13.3 x 7.5 inches
        titles=True,
        line=2.4,
        marker=8,
        dpi=160,
        suffixes=("png", "svg", "pdf"),
    ),
}
_current: ContextVar[Preset] = ContextVar("preset", default=PRESETS["web"])


def preset() -> Preset:
    """The preset of the report that is being made."""
    return _current.get()


@contextmanager
def use_preset(name: str) -> Iterator[Preset]:
    """Make and save figures inside with the preset of that name in PRESETS."""
    import matplotlib  # only here, so that --style can list the presets without it

    chosen = PRESETS[name]
    parameters: Any = {
        "font.size": chosen.font,
        "axes.titlesize": "small",
        "axes.labelsize": "small",
        "xtick.labelsize": "small",
        "ytick.labelsize": "small",
        "legend.fontsize": "small",
        "lines.linewidth": chosen.line,
        "lines.markersize": chosen.marker,
        "axes.linewidth": 0.55 * chosen.line,
        "pdf.fonttype": 42,  # TrueType, which editors and arXiv accept
        "svg.hashsalt": "seit_cl",  # the same identifiers in every SVG of the same figure
    }
    token = _current.set(chosen)
    try:
        with literal_text(), matplotlib.rc_context(parameters):
            yield chosen
    finally:
        _current.reset(token)
