"""Empty figures, their axes with units, the legend, and the lines of bounds."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from seit_cl.metrics import average_incremental_accuracy
from seit_cl.reports._groups import MB, Setting, all_at_once, bounds, label, mean_std
from seit_cl.reports._styles import BOUND_COLOURS, bound_styles
from seit_cl.results import Run

LETTERS_AN_INCH = 15  # of a title
Metric = Callable[[pd.DataFrame], float]  # of a run's accuracy.csv; a fraction


def draw_bounds(ax: Axes, row: Setting, metric: Metric, runs: Sequence[Run]) -> None:
    """Runs without memory as level lines; a joint run, tested after its one step only, has no average to compare."""
    groups = bounds(runs, row)
    looks = bound_styles(groups)
    for key, group in groups.items():
        if metric is average_incremental_accuracy and all(all_at_once(run) for run in group):
            continue
        mean, std = mean_std([100 * metric(run.accuracy) for run in group])
        look = looks[key]
        ax.axhline(mean, label=label(key, runs), **look)
        if std > 0:
            ax.axhspan(mean - std, mean + std, color=look["color"], alpha=0.08, linewidth=0)


def new_figure(title: str, note: str, panels: tuple[int, int], panel: tuple[float, float]) -> Figure:
    """An empty figure with room for its title; `finish` adds room for the legend.

    Args:
        title: of the figure.
        note: smaller, under the title.
        panels: rows and columns.
        panel: width and height of a panel, inches.
    """
    width = max(panels[1] * panel[0], 4.8)
    figure = Figure(figsize=(width, panels[0] * panel[1] + 0.7), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.08)  # type: ignore[union-attr, call-arg]
    lines = textwrap.wrap(note, int(width * LETTERS_AN_INCH))
    figure.suptitle("\n".join([title, *lines]), fontsize=9)
    return figure


def finish(figure: Figure, axes: Sequence[Axes]) -> Figure:
    """Light grid on every panel and one legend for all of them below the panels."""
    entries: dict[str, Any] = {}
    for ax in axes:
        ax.grid(True, color="#dddddd", linewidth=0.6)
        ax.set_axisbelow(True)
        ax.spines[["top", "right"]].set_visible(False)
        for handle, text in zip(*ax.get_legend_handles_labels(), strict=True):
            entries.setdefault(text, handle.lines[0] if isinstance(handle, ErrorbarContainer) else handle)
    entries = dict(sorted(entries.items(), key=lambda item: item[1].get_color() in BOUND_COLOURS))
    entry_width = 0.75 + 0.06 * max(map(len, entries))  # inches, at font size 8
    columns = max(1, min(len(entries), int(figure.get_figwidth() / entry_width)))
    legend_rows = -(-len(entries) // columns)
    figure.set_figheight(figure.get_figheight() + 0.25 + 0.17 * legend_rows)
    figure.legend(
        entries.values(), entries.keys(), loc="outside lower center", ncols=columns, frameon=False, fontsize=8,
        handlelength=3.2,
    )  # fmt: skip
    return figure


def bytes_axis(ax: Axes, label: str) -> None:
    """A logarithmic axis in MB with ticks at 1, 2 and 5 of each decade."""
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    ax.xaxis.set_minor_locator(NullLocator())
    if ax.get_subplotspec().is_last_row():  # type: ignore[union-attr]
        ax.set_xlabel(label)


def memory_axis(ax: Axes, budgets: Sequence[int]) -> None:
    """A logarithmic axis in MB with a tick at each budget, fewer where they would touch."""
    ax.set_xscale("log")
    values = sorted({b / MB for b in budgets})
    room = (values[-1] / values[0]) ** (1 / 8)
    kept = values[:1]
    for value in values[1:]:
        if value / kept[-1] >= max(room, 1.05):
            kept.append(value)
    ax.set_xticks(kept, [f"{v:.3g}" for v in kept])
    ax.set_xticks([], minor=True)
    ax.set_xlim(values[0] / 1.35, values[-1] * 1.35)
    if ax.get_subplotspec().is_last_row():  # type: ignore[union-attr]
        ax.set_xlabel("memory budget (MB, log scale)")
