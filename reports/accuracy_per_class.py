"""Final accuracy on every class, in the order in which the classes came."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from seit_cl.reporting.base import Report
from seit_cl.reporting.grouping import finished
from seit_cl.reporting.panels import run_panels
from seit_cl.results.run_files import Run

COLOURS = colormaps["viridis"]
MOST_NAMED = 20  # classes whose names are written below their bars


class AccuracyPerClass(Report):
    """A panel per setting, series and budget, of the first seed, with a bar per class."""

    title = "Final accuracy on each class"

    def make(self, runs: Sequence[Run]) -> Figure | None:
        """Draw the figure; None if no run has finished."""
        shown = [run for run in finished(runs) if not class_accuracy(run).empty]
        if not shown:
            return None
        experiences = max(int(class_accuracy(run)["experience"].max()) + 1 for run in shown)
        scale = ScalarMappable(Normalize(1, max(experiences, 2)), COLOURS)

        def draw(ax: Axes, run: Run) -> ScalarMappable:
            _draw_bars(ax, class_accuracy(run), scale)
            return scale

        figure, bar = run_panels(self.title, shown, runs, (2.6, 2.2), draw)
        bar.set_label("experience of the class", fontsize="small")
        bar.ax.yaxis.set_major_locator(MaxNLocator(integer=True))
        bar.ax.tick_params(labelsize="x-small")
        return figure


def class_accuracy(run: Run) -> pd.DataFrame:
    """The last test of a run: experience, class and percent, a row per class of an experience."""
    rows = run.accuracy
    if rows.empty:
        return rows
    last = int(rows["after_experience"].max())
    tested = rows[(rows["after_experience"] == last) & (rows["experience"] <= last)]
    percent = 100 * tested["correct"] / tested["total"]
    return tested[["experience", "class"]].assign(percent=percent).reset_index(drop=True)


def _draw_bars(ax: Axes, classes: pd.DataFrame, scale: ScalarMappable) -> None:
    """Draw a bar per class, in the colour of its experience, and a line at their mean."""
    places = range(1, len(classes) + 1)
    colours = scale.to_rgba(classes["experience"].to_numpy() + 1)
    ax.bar(places, classes["percent"], width=0.9, color=colours)
    ax.axhline(classes["percent"].mean(), color="#666666", linewidth=0.8, linestyle=(0, (4, 2)))
    ax.set_ylim(0, 100)
    ax.set_xlim(0.4, len(classes) + 0.6)
    if len(classes) <= MOST_NAMED:
        ax.set_xticks(list(places), classes["class"], rotation=90)
    else:
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
        ax.set_xlabel("class, in order of arrival", fontsize="x-small")
    ax.tick_params(labelsize="x-small")
    ax.set_ylabel("accuracy (%)", fontsize="x-small")


REPORT = AccuracyPerClass
