"""The exemplars of every class in the memory after each experience, as stacked bars."""

from __future__ import annotations

from collections.abc import Sequence

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
    with_exemplars,
    with_memory,
    without_sweep_trials,
)
from seit_cl.reporting.labels import join_parts, series_label
from seit_cl.reporting.panels import run_panels
from seit_cl.results.replicates import replicate_of
from seit_cl.results.run_files import Run

COLOURS = colormaps["viridis"]
MAX_OUTLINED = 40  # classes whose bars have white outlines; of more, these would hide the bars
MAX_NAMED = 6  # panels that the note names, of those that one panel stands for
HALF_BAR = 0.45  # of the distance between experiences


class MemoryPerClass(Report):
    """A panel per setting, series and budget, of the first seed."""

    title = "Exemplars of each class in memory"

    def make(self, runs: Sequence[Run]) -> Figure | None:
        """Draw the figure; None if no finished run stored an exemplar."""
        stored = with_exemplars(with_memory(runs))
        recorded = [run for run in stored if run.memory is not None]
        candidates, twins = _without_twins(without_sweep_trials(recorded))
        shown = [run for run in candidates if exemplar_counts(run).any()]
        if not shown:
            return None
        classes = max(exemplar_counts(run).shape[1] for run in shown)
        scale = ScalarMappable(Normalize(1, max(classes, 2)), COLOURS)

        def draw(ax: Axes, run: Run) -> ScalarMappable:
            _draw_bars(ax, exemplar_counts(run))
            return scale

        more = twins_note(twins, shown)
        figure, bar = run_panels(self.title, shown, shown, (2.5, 2.2), draw, more)
        bar.set_label("class, in order of arrival", fontsize="small")
        bar.ax.yaxis.set_major_locator(MaxNLocator(integer=True))
        bar.ax.tick_params(labelsize="x-small")
        return figure


def exemplar_counts(run: Run) -> np.ndarray:
    """The exemplars (T, C) after each of T experiences, of C classes in order of arrival."""
    memory = run.memory
    if memory is None or memory.empty:
        return np.zeros((0, 0), np.int64)
    rows = memory[memory["kind"] == "exemplars"]
    table = rows.pivot(index="experience", columns="name", values="value")
    return table[rows["name"].unique()].to_numpy(np.int64)


def twins_note(twins: Sequence[tuple[Run, Run]], shown: Sequence[Run]) -> str:
    """Words about panels that would repeat others, for the note of the figure; "" without any.

    Args:
        twins: pairs of a run and the run with the same counts whose panel stands for it.
        shown: runs with panels.
    """
    ids = {run.run_id for run in shown}
    words: dict[str, list[str]] = {}
    for run, other in twins:
        if other.run_id in ids:
            name = join_parts(setting_of(run).strategy, series_label(series_of(run), [run, other]))
            words.setdefault(setting_of(other).strategy, []).append(name)
    if not words:
        return ""
    texts = []
    for strategy, names in words.items():
        listed = list(dict.fromkeys(names))
        few = "; ".join(listed[:MAX_NAMED])
        if len(listed) > MAX_NAMED:
            few += f" and {len(listed) - MAX_NAMED} more"
        texts.append(f"{strategy} for {few}")
    return f"panels of the same counts are drawn once: {', '.join(texts)}"


def _without_twins(runs: Sequence[Run]) -> tuple[list[Run], list[tuple[Run, Run]]]:
    """The first seeds of runs, without repetitions of the same counts.

    Runs that differ by learner or strategy alone often store the same numbers of exemplars.

    Returns:
        The runs, and pairs of each other one with the run of the same counts.
    """
    first_seeds: dict[tuple[object, ...], Run] = {}
    for run in sorted(runs, key=lambda run: (replicate_of(run), run.run_id)):
        first_seeds.setdefault((setting_of(run), series_of(run), budget_of(run)), run)
    different: dict[tuple[object, ...], Run] = {}
    twins: list[tuple[Run, Run]] = []
    for run in first_seeds.values():
        setting = setting_of(run)
        content = (
            (setting.dataset, setting.scenario),
            series_of(run)._replace(learner=""),
            budget_of(run),
            exemplar_counts(run).tobytes(),
        )
        same = different.setdefault(content, run)
        if same is not run:
            twins.append((run, same))
    return list(different.values()), twins


def _draw_bars(ax: Axes, counts: np.ndarray) -> None:
    """Draw the exemplars (T, C) of one run as a bar per experience, with a part per class."""
    experiences, classes = counts.shape
    x = np.arange(1, experiences + 1)
    top = counts.cumsum(axis=1)
    bottom = top - counts
    left = np.broadcast_to(x[:, None] - HALF_BAR, top.shape)
    right = np.broadcast_to(x[:, None] + HALF_BAR, top.shape)
    xs = np.stack([left, right, right, left], axis=-1)
    ys = np.stack([bottom, bottom, top, top], axis=-1)
    corners = np.stack([xs, ys], axis=-1)  # (T, C, 4, 2)
    shades = np.arange(classes) / max(classes - 1, 1)
    bars = PolyCollection(
        list(corners.reshape(-1, 4, 2)),
        facecolors=COLOURS(np.tile(shades, experiences)),
        edgecolors="white",
        linewidths=0.3 if classes <= MAX_OUTLINED else 0,
    )
    ax.add_collection(bars)
    ax.set_xlim(0.4, experiences + 0.6)
    ax.set_ylim(0, 1.05 * max(int(top[:, -1].max()), 1))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, min_n_ticks=1))
    ax.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    ax.tick_params(labelsize="x-small")
    ax.set_xlabel("experiences learnt", fontsize="x-small")
    ax.set_ylabel("exemplars", fontsize="x-small")


REPORT = MemoryPerClass
