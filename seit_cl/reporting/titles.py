"""Long names in figures, broken into lines that fit into a panel."""

from __future__ import annotations

import re
from collections.abc import Sequence

from matplotlib.axes import Axes

from seit_cl.reporting.presets import preset

SMALL_FONT = 10 / 12  # matplotlib's "small", as a fraction of the font size
POINTS_PER_INCH = 72
LETTER_WIDTH = 0.55  # of a letter of ordinary text, as a fraction of the font size
FEWEST_LETTERS = 8
PANEL_PART = 0.9  # of a panel's share of the figure's width, for its title


def wrapped(text: str, inches: float) -> str:
    """Break lines that are longer than a width, after commas, colons and spaces where it can be.

    Args:
        text: in the preset's small font.
        inches: the width.
    """
    letter = LETTER_WIDTH * SMALL_FONT * preset().font / POINTS_PER_INCH
    letters = max(FEWEST_LETTERS, int(inches / letter))
    lines = []
    for line in text.split("\n"):
        lines += _broken(line, letters)
    return "\n".join(lines)


def wrap_titles(axes: Sequence[Axes]) -> None:
    """Break the titles of panels that are wider than their panel."""
    for ax in axes:
        place = ax.get_subplotspec()
        figure = ax.get_figure(root=True)
        if place is None or figure is None or not ax.get_title():
            continue
        columns = place.get_gridspec().ncols
        inches = PANEL_PART * figure.get_figwidth() / columns
        ax.title.set_text(wrapped(ax.get_title(), inches))


def _broken(line: str, letters: int) -> list[str]:
    """A line as several of at most as many letters."""
    lines = [""]
    for part in re.split(r"(?<=[,:;·_ ])", line):
        if lines[-1] and len(lines[-1]) + len(part.rstrip()) > letters:
            lines.append("")
        lines[-1] += part
    pieces = []
    for each in lines:
        text = each.strip()
        pieces += [text[i : i + letters] for i in range(0, max(len(text), 1), letters)]
    return pieces
