"""Accuracy on each experience after each step, as heat maps: where forgetting happens."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator

from seit_cl.metrics import accuracy_matrix
from seit_cl.reports import base
from seit_cl.results import Run

TITLE = "Accuracy on each experience"
COLUMNS = 5  # panels beside each other where there are many


def make(runs: list[Run]) -> Figure | None:
    """A panel per setting, format and budget, first seed; None when no finished run has two steps."""
    stepped = [run for run in base.finished(runs) if len(base.curve([run])[0]) > 1]
    if not stepped:
        return None
    grid = _grid(stepped)
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
            ax.set_title(_title(run, settings, runs), fontsize=8)
            ax.set_xlabel("test experience", fontsize=7)
            ax.set_ylabel("experiences learnt", fontsize=7)
    assert image is not None
    bar = figure.colorbar(image, ax=list(axes.flat), aspect=25, fraction=0.06, shrink=min(1.0, 2.2 / len(grid)))
    bar.set_label("accuracy (%)", fontsize=8)
    return figure


def _grid(runs: list[Run]) -> list[list[Run | None]]:
    """Rows of panels: setting and series with a column per budget, several side by side where there are many; then the
    runs without memory."""
    first: dict[tuple[base.Setting, base.Series, int], Run] = {}
    for run in sorted(runs, key=lambda r: (r.fact("seed", 0), r.run_id)):
        first.setdefault((base.setting(run), base.series(run), base.budget(run)), run)
    sizes = sorted({size for _, _, size in first if size})
    lines = sorted({(setting, series) for setting, series, size in first if size})
    beside = max(1, COLUMNS // max(len(sizes), 1)) if len(lines) > 3 else 1
    rows: list[list[Run | None]] = [
        [first.get((*line, size)) for line in lines[i : i + beside] for size in sizes] for i in range(0, len(lines), beside)
    ]
    free: list[Run | None] = [first[key] for key in sorted(first) if not key[2]]
    width = max(max(map(len, rows), default=0), 3)
    return rows + [free[i : i + width] for i in range(0, len(free), width)]


def _title(run: Run, settings: list[base.Setting], runs: list[Run]) -> str:
    """Setting where there are several, series and budget; strategy for a run without memory."""
    setting, size = base.setting(run), base.budget(run)
    line = base.series(run) if size else base.series(run)._replace(format=setting.strategy)
    head = base.row_label(setting, settings) if size else ""
    name = base.label(line, runs).replace(" (", "\n(")
    return "\n".join(part for part in (head, name, base.megabytes(size) if size else "no memory") if part)


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
