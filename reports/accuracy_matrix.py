"""Accuracy on each experience after each experience learnt, as heat maps that show forgetting."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator

from seit_cl.reporting.base import Report
from seit_cl.reporting.grouping import accuracy_curve, finished
from seit_cl.reporting.panels import run_panels
from seit_cl.results.metrics import accuracy_matrix
from seit_cl.results.run_files import Run

SCALE_STEP = 10  # percent between possible ends of the scale of colours
MAX_WITH_NUMBERS = 6  # experiences, of matrices with numbers in their cells


class AccuracyMatrix(Report):
    """A panel per setting, series and budget, of the first seed."""

    title = "Accuracy on each experience"
    source = "Lopez-Paz and Ranzato, NeurIPS 2017 (GEM)"

    def make(self, runs: Sequence[Run]) -> Figure | None:
        """Draw the figure; None if no finished run was tested after two experiences."""
        shown = [run for run in finished(runs) if len(accuracy_curve([run])[0]) > 1]
        if not shown:
            return None
        percent = [100 * accuracy_matrix(run.accuracy) for run in shown]
        best = max(float(np.nanmax(matrix)) for matrix in percent)
        top = min(100, max(SCALE_STEP, SCALE_STEP * math.ceil(best / SCALE_STEP)))
        draw = partial(_draw_matrix, top=top)
        figure, bar = run_panels(self.title, shown, runs, (2.3, 2.2), draw)
        bar.set_label("accuracy (%)", fontsize="small")
        return figure


def _draw_matrix(ax: Axes, run: Run, top: int) -> AxesImage:
    """Draw the accuracy matrix of one run, with numbers in the cells if they fit.

    Args:
        ax: the panel.
        run: of the panel.
        top: percent at the end of the scale of colours.
    """
    percent = 100 * accuracy_matrix(run.accuracy)
    experiences = len(percent)
    last = experiences + 0.5
    image = ax.imshow(
        percent,
        vmin=0,
        vmax=top,
        cmap="cividis",
        extent=(0.5, last, last, 0.5),
        interpolation="nearest",
    )
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=5, min_n_ticks=1))
    ax.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=5, min_n_ticks=1))
    ax.tick_params(labelsize="x-small")
    ax.set_xlabel("test experience", fontsize="x-small")
    ax.set_ylabel("experiences learnt", fontsize="x-small")
    if experiences <= MAX_WITH_NUMBERS:
        _write_numbers(ax, percent, top / 2)
    return image


def _write_numbers(ax: Axes, percent: np.ndarray, middle: float) -> None:
    """Write the numbers of a matrix (T, T) into its cells, in a colour that contrasts.

    Args:
        ax: the panel.
        percent: the matrix, nan in empty cells.
        middle: of the scale of colours.
    """
    for learnt, tested in np.argwhere(~np.isnan(percent)):
        value = percent[learnt, tested]
        ax.text(
            tested + 1,
            learnt + 1,
            f"{value:.0f}",
            ha="center",
            va="center",
            fontsize="x-small",
            color="white" if value < middle else "black",
        )


REPORT = AccuracyMatrix
