"""Accuracy on each experience after each step, as heat maps: where forgetting happens."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator

from seit_cl.reporting.base import Report
from seit_cl.reporting.grouping import accuracy_curve, finished
from seit_cl.reporting.panels import panels
from seit_cl.results.metrics import accuracy_matrix
from seit_cl.results.run_files import Run

TITLE = "Accuracy on each experience"


def make(runs: list[Run]) -> Figure | None:
    """A panel per setting, format and budget, first seed; None when no finished run has two steps."""
    stepped = [run for run in finished(runs) if len(accuracy_curve([run])[0]) > 1]
    if not stepped:
        return None
    figure, bar = panels(
        TITLE, stepped, runs, (2.3, 2.2), lambda ax, run: _heat(ax, accuracy_matrix(run.accuracy))
    )
    bar.set_label("accuracy (%)", fontsize="small")
    return figure


def _heat(ax: Axes, matrix: np.ndarray) -> AxesImage:
    """One matrix (T, T), fractions; the numbers in the cells where they fit."""
    steps = len(matrix)
    edge = (0.5, steps + 0.5, steps + 0.5, 0.5)
    image = ax.imshow(
        100 * matrix, vmin=0, vmax=100, cmap="cividis", extent=edge, interpolation="nearest"
    )
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=5, min_n_ticks=1))
    ax.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=5, min_n_ticks=1))
    ax.tick_params(labelsize="x-small")
    ax.set_xlabel("test experience", fontsize="x-small")
    ax.set_ylabel("experiences learnt", fontsize="x-small")
    if steps <= 6:
        for t, j in zip(*np.nonzero(~np.isnan(matrix)), strict=True):
            value = 100 * matrix[t, j]
            colour = "white" if value < 50 else "black"
            ax.text(
                j + 1,
                t + 1,
                f"{value:.0f}",
                ha="center",
                va="center",
                fontsize="x-small",
                color=colour,
            )
    return image


REPORT = Report("accuracy_matrix", TITLE, make)
