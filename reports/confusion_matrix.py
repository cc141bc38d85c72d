"""Classes that are taken for one another after the last experience, as heat maps."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator

from seit_cl.reporting.base import Report
from seit_cl.reporting.confusion import Confusion, confusion_of
from seit_cl.reporting.grouping import finished
from seit_cl.reporting.panels import run_panels
from seit_cl.results.run_files import Run

MOST_CELLS = 100  # of a side; more classes are pooled
MOST_NAMED = 10  # classes whose names are written beside their cells
MOST_LETTERS = 14  # of such a name
MAX_WITH_NUMBERS = 6  # classes, of matrices with numbers in their cells
MOST_LINES = 20  # experiences that lines tell apart
DARK = 25  # percent below which a cell is dark


class ConfusionMatrix(Report):
    """A panel per setting, series and budget, of the first seed."""

    title = "Confusion between classes at the end"

    def make(self, runs: Sequence[Run]) -> Figure | None:
        """Draw the figure; None if no finished run recorded its answers."""
        shown = [run for run in finished(runs) if not run.confusion.empty]
        if not shown:
            return None
        more = "classes in order of arrival; white lines between experiences"
        classes = max(len(confusion_of(run).names) for run in shown)
        if classes > MOST_CELLS:
            more += f"; {math.ceil(classes / MOST_CELLS)} classes a cell at {classes} classes"
        figure, bar = run_panels(self.title, shown, runs, (2.5, 2.4), _draw_matrix, more)
        bar.set_label("answers for the class (%)", fontsize="small")
        bar.set_ticks([0, 1, 5, 10, 25, 50, 100])
        bar.ax.tick_params(labelsize="x-small")
        return figure


def _draw_matrix(ax: Axes, run: Run) -> AxesImage:
    """Draw the shares of one run's answers; small ones have a wide part of the colours."""
    whole = confusion_of(run)
    classes = len(whole.names)
    shown = whole.pooled(MOST_CELLS)
    percent = 100 * shown.shares()
    last = classes + 0.5
    image = ax.imshow(
        percent,
        norm=PowerNorm(0.5, 0, 100),
        cmap="cividis",
        extent=(0.5, last, last, 0.5),
        interpolation="nearest",
    )
    _name_axes(ax, whole.names)
    _part_experiences(ax, whole)
    if classes <= MAX_WITH_NUMBERS:
        _write_numbers(ax, percent)
    return image


def _name_axes(ax: Axes, names: Sequence[str]) -> None:
    """Write the classes' names, or their places where these are many."""
    if len(names) <= MOST_NAMED:
        short = [_shortened(name) for name in names]
        places = range(1, len(names) + 1)
        ax.set_xticks(places, short, rotation=90)
        ax.set_yticks(places, short)
    else:
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
        ax.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
    ax.tick_params(labelsize="x-small")
    ax.set_xlabel("answer", fontsize="x-small")
    ax.set_ylabel("class", fontsize="x-small")


def _shortened(name: str) -> str:
    """A name that is not longer than MOST_LETTERS."""
    return name if len(name) <= MOST_LETTERS else name[: MOST_LETTERS - 1] + "…"


def _part_experiences(ax: Axes, confusion: Confusion) -> None:
    """Draw lines between the classes of different experiences."""
    borders = np.flatnonzero(np.diff(confusion.experiences)) + 1.5
    if len(borders) < MOST_LINES:
        for border in borders:
            ax.axhline(border, color="white", linewidth=0.3)
            ax.axvline(border, color="white", linewidth=0.3)


def _write_numbers(ax: Axes, percent: np.ndarray) -> None:
    """Write the numbers of a matrix (C, C) into its cells, in a colour that contrasts."""
    for right, predicted in np.argwhere(percent > 0):
        value = percent[right, predicted]
        colour = "white" if value < DARK else "black"
        place = predicted + 1, right + 1
        ax.text(*place, f"{value:.0f}", ha="center", va="center", fontsize="x-small", color=colour)


REPORT = ConfusionMatrix
