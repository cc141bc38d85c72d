"""What the memory holds of every class after each experience, as stacked bars: who gives way to whom."""

from __future__ import annotations

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from seit_cl.reports import base
from seit_cl.reports._panels import panels
from seit_cl.results import Run

TITLE = "Exemplars of each class in memory"
MAP = colormaps["viridis"]
LINED = 40  # classes up to which bars are told apart by lines


def make(runs: list[Run]) -> Figure | None:
    """A panel per setting, format and budget, first seed; None when no finished run kept an exemplar."""
    kept = [run for run in base.with_memory(runs) if len(counts(run)) and counts(run).any()]
    shown = _one_of_twins(base.past_sweeps(kept) or kept)
    if not shown:
        return None
    classes = max(counts(run).shape[1] for run in shown)
    scale = ScalarMappable(Normalize(1, max(classes, 2)), MAP)

    def draw(ax: Axes, run: Run) -> ScalarMappable:
        _bars(ax, counts(run))
        return scale

    figure, bar = panels(TITLE, shown, shown, (2.5, 2.2), draw)
    bar.set_label("class, in order of arrival", fontsize="small")
    bar.ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    bar.ax.tick_params(labelsize="x-small")
    return figure


def counts(run: Run) -> np.ndarray:
    """Exemplars (T, C) after each experience, classes in order of arrival."""
    rows = run.memory
    if rows is None or rows.empty:
        return np.zeros((0, 0), np.int64)
    held = rows[rows["kind"] == "exemplars"]
    table = held.pivot(index="step", columns="name", values="value")
    return table[held["name"].unique()].to_numpy(np.int64)


def _one_of_twins(runs: list[Run]) -> list[Run]:
    """One run of those that differ by their learner alone, which moves what is kept under herding only."""
    first: dict[tuple[object, ...], Run] = {}
    for run in sorted(runs, key=lambda r: (r.fact("seed", 0), r.run_id)):
        series = base.series(run)
        if run.fact("policy") != "herding":
            series = series._replace(learner="")
        first.setdefault((base.setting(run), series, base.budget(run)), run)
    return list(first.values())


def _bars(ax: Axes, table: np.ndarray) -> None:
    """One run's bars (T, C)."""
    steps, classes = table.shape
    x = np.arange(1, steps + 1)
    line = {"edgecolor": "white", "linewidth": 0.3} if classes <= LINED else {"linewidth": 0}
    bottom = np.zeros(steps, np.int64)
    for k in range(classes):
        ax.bar(x, table[:, k], 0.9, bottom=bottom, color=MAP(k / max(classes - 1, 1)), **line)
        bottom += table[:, k]
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, min_n_ticks=1))
    ax.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    ax.tick_params(labelsize="x-small")
    ax.set_xlabel("experiences learnt", fontsize="x-small")
    ax.set_ylabel("exemplars", fontsize="x-small")


REPORT = base.Report("memory_per_class", TITLE, make)
