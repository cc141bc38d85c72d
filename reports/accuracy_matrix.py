"""Accuracy on each experience after each step, as heat maps: where forgetting happens."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from seit_cl.reports import base
from seit_cl.results import Run, accuracy_matrix

TITLE = "Accuracy on each experience"
Key = tuple[base.Setting, base.Series]


def make(runs: list[Run]) -> Figure | None:
    """A row per setting and format, a column per budget, first seed; None when no finished run has two steps."""
    stepped = [run for run in base.finished(runs) if len(base.curve([run])[0]) > 1]
    if not stepped:
        return None
    budgets = sorted({base.budget(run) for run in stepped})
    panels: dict[Key, dict[int, Run]] = {}
    for run in sorted(stepped, key=lambda r: (r.fact("seed", 0), r.run_id)):
        panels.setdefault((base.setting(run), base.series(run)), {}).setdefault(base.budget(run), run)
    keys = sorted(panels)
    seeds = sorted({run.fact("seed", 0) for row in panels.values() for run in row.values()})
    note = f"first seed of each: {', '.join(map(str, seeds))}"
    figure = base.new_figure(TITLE, note, (len(keys), len(budgets)), (2.5, 2.3))
    axes = figure.subplots(len(keys), len(budgets), squeeze=False)
    image = None
    for i, key in enumerate(keys):
        for j, size in enumerate(budgets):
            if size in panels[key]:
                image = _heat(axes[i, j], accuracy_matrix(panels[key][size].accuracy))
                axes[i, j].set_title(_title(key, size, keys), fontsize=8)
            else:
                axes[i, j].set_axis_off()
    figure.supxlabel("test experience", fontsize=9)
    figure.supylabel("experiences learnt", fontsize=9)
    figure.colorbar(image, ax=list(axes.flat), label="accuracy (%)", fraction=0.05, aspect=30)  # type: ignore[arg-type]
    return figure


def _title(key: Key, size: int, keys: list[Key]) -> str:
    """Format and budget; the setting too where there are several, the learner where there are several."""
    row, line = key
    learners = {k[1].learner for k in keys}
    first = " · ".join(part for part in (line.format, line.learner if len(learners) > 1 else "") if part)
    with_setting = not line.format or len({k[0] for k in keys if k[1].format}) > 1
    parts = [base.row_label(row, [k[0] for k in keys])] if with_setting else []
    return "\n".join([*parts, *([first] if line.format else []), base.megabytes(size) if size else "no memory"])


def _heat(ax: Axes, matrix: np.ndarray):  # type: ignore[no-untyped-def]
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
            ax.text(j + 1, t + 1, f"{value:.0f}", ha="center", va="center", fontsize=6, color=colour)
    return image


REPORT = base.Report("accuracy_matrix", TITLE, make)
