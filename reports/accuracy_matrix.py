"""Accuracy on each experience after each step, as heat maps: where forgetting happens."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator

from seit_cl.metrics import accuracy_matrix
from seit_cl.reports import base
from seit_cl.reports._panels import grid_of, title_of
from seit_cl.results import Run

TITLE = "Accuracy on each experience"


def make(runs: list[Run]) -> Figure | None:
    """A panel per setting, format and budget, first seed; None when no finished run has two steps."""
    stepped = [run for run in base.finished(runs) if len(base.curve([run])[0]) > 1]
    if not stepped:
        return None
    grid = grid_of(stepped)
    columns = max(len(row) for row in grid)
    shown = [run for row in grid for run in row if run is not None]
    seeds = ", ".join(map(str, sorted({run.fact("seed", 0) for run in shown})))
    settings = base.rows_of(base.with_memory(shown) or shown)
    note = base.note(settings, f"one seed of each: {seeds}")
    figure = base.new_figure(TITLE, note, (len(grid), columns), (2.3, 2.2))
    axes = figure.subplots(len(grid), columns, squeeze=False)
    image: AxesImage | None = None
    for i, row in enumerate(grid):
        for j, ax in enumerate(axes[i]):
            run = row[j] if j < len(row) else None
            if run is None:
                ax.set_axis_off()
                continue
            image = _heat(ax, accuracy_matrix(run.accuracy))
            ax.set_title(title_of(run, settings, runs), fontsize=8)
            ax.set_xlabel("test experience", fontsize=7)
            ax.set_ylabel("experiences learnt", fontsize=7)
    assert image is not None
    bar = figure.colorbar(image, ax=list(axes.flat), aspect=25, fraction=0.06, shrink=min(1.0, 2.2 / len(grid)))
    bar.set_label("accuracy (%)", fontsize=8)
    return figure


def _heat(ax: Axes, matrix: np.ndarray) -> AxesImage:
    """One matrix (T, T), fractions; the numbers in the cells where they fit."""
    steps = len(matrix)
    edge = (0.5, steps + 0.5, steps + 0.5, 0.5)
    image = ax.imshow(100 * matrix, vmin=0, vmax=100, cmap="cividis", extent=edge, interpolation="nearest")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=5, min_n_ticks=1))
    ax.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=5, min_n_ticks=1))
    ax.tick_params(labelsize=7)
    if steps <= 6:
        for t, j in zip(*np.nonzero(~np.isnan(matrix)), strict=True):
            value = 100 * matrix[t, j]
            colour = "white" if value < 50 else "black"
            ax.text(j + 1, t + 1, f"{value:.0f}", ha="center", va="center", fontsize=7, color=colour)
    return image


REPORT = base.Report("accuracy_matrix", TITLE, make)
