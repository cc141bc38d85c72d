"""What the memory holds of every class after each experience, as stacked bars: who gives way to whom."""

from __future__ import annotations

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PolyCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from seit_cl.reporting.base import Report
from seit_cl.reporting.grouping import (
    budget_of,
    series_of,
    setting_of,
    with_memory,
    without_sweep_trials,
)
from seit_cl.reporting.panels import panels
from seit_cl.results.run_files import Run

TITLE = "Exemplars of each class in memory"
MAP = colormaps["viridis"]
LINED = 40  # classes up to which bars are told apart by lines


def make(runs: list[Run]) -> Figure | None:
    """A panel per setting, format and budget, first seed; None when no finished run kept an exemplar."""
    kept = [
        run
        for run in with_memory(runs)
        if run.memory is not None and float(run.get("exemplars", 0)) > 0
    ]
    shown = [run for run in _one_of_twins(without_sweep_trials(kept)) if counts(run).any()]
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
    table = held.pivot(index="experience", columns="name", values="value")
    return table[held["name"].unique()].to_numpy(np.int64)


def _one_of_twins(runs: list[Run]) -> list[Run]:
    """One run of those that differ by learner or strategy and keep the same numbers of exemplars; the first seed of each."""
    first: dict[tuple[object, ...], Run] = {}
    for run in sorted(runs, key=lambda r: (r.get("seed", 0), r.run_id)):
        first.setdefault((setting_of(run), series_of(run), budget_of(run)), run)
    kept: dict[tuple[object, ...], Run] = {}
    for run in first.values():
        series, size = series_of(run)._replace(learner=""), budget_of(run)
        kept.setdefault((setting_of(run)[:2], series, size, counts(run).tobytes()), run)
    return list(kept.values())


def _bars(ax: Axes, table: np.ndarray) -> None:
    """One run's bars (T, C)."""
    steps, classes = table.shape
    x = np.arange(1, steps + 1)
    top = table.cumsum(1)
    low = top - table
    left, right = (
        np.broadcast_to(x[:, None] - 0.45, top.shape),
        np.broadcast_to(x[:, None] + 0.45, top.shape),
    )
    corners = np.stack(
        [np.stack([a, b], -1) for a, b in ((left, low), (right, low), (right, top), (left, top))], 2
    )
    colours = MAP(np.tile(np.arange(classes) / max(classes - 1, 1), steps))
    width = 0.3 if classes <= LINED else 0
    ax.add_collection(
        PolyCollection(
            list(corners.reshape(-1, 4, 2)),
            facecolors=colours,
            edgecolors="white",
            linewidths=width,
        )
    )
    ax.set_xlim(0.4, steps + 0.6)
    ax.set_ylim(0, 1.05 * max(int(top[:, -1].max()), 1))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, min_n_ticks=1))
    ax.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    ax.tick_params(labelsize="x-small")
    ax.set_xlabel("experiences learnt", fontsize="x-small")
    ax.set_ylabel("exemplars", fontsize="x-small")


REPORT = Report("memory_per_class", TITLE, make)
