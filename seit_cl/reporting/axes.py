"""Empty figures, their axes with units, the legend, lines against memory and those of bounds."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from seit_cl.reporting.grouping import (
    MB,
    Series,
    Setting,
    all_at_once,
    bounds,
    budget,
    label,
    mean_std,
    series,
)
from seit_cl.reporting.presets import look
from seit_cl.reporting.styles import BOUND_COLOURS, Style, bound_styles
from seit_cl.results.metrics import average_incremental_accuracy
from seit_cl.results.run_files import Run

MANY = 4  # rows of panels from which on they are lower
LOW = 0.72
SMALL = 10 / 12  # of the font size; matplotlib's "small"
Metric = Callable[[pd.DataFrame], float]  # of a run's accuracy.csv; a fraction


def draw_lines(
    ax: Axes,
    group: Sequence[Run],
    metric: Metric,
    looks: Mapping[Series, Style],
    names: Mapping[Series, str],
) -> None:
    """Lines of a metric in percent against the budget: means over seeds, the standard deviation as error bars.

    Args:
        ax: where.
        group: runs of one setting.
        metric: of a run's accuracies; runs of which it is nan are left out.
        looks: the lines, in order.
        names: their labels.
    """
    for key, style in looks.items():
        mine = [(budget(run), 100 * metric(run.accuracy)) for run in group if series(run) == key]
        sizes = sorted({size for size, value in mine if not math.isnan(value)})
        stats = [mean_std([value for at, value in mine if at == size]) for size in sizes]
        if stats:
            x, mean, std = [s / MB for s in sizes], [m for m, _ in stats], [s for _, s in stats]
            ax.errorbar(
                x, mean, yerr=std, label=names[key], capsize=0.6 * look().marker, **style._asdict()
            )


def draw_bounds(ax: Axes, row: Setting, metric: Metric, runs: Sequence[Run]) -> None:
    """Runs without memory as level lines; a joint run, tested after its one step only, has no average to compare."""
    groups = bounds(runs, row)
    looks = bound_styles(groups)
    for key, group in groups.items():
        if metric is average_incremental_accuracy and all(all_at_once(run) for run in group):
            continue
        mean, std = mean_std([100 * metric(run.accuracy) for run in group])
        if math.isnan(mean):
            continue
        ax.axhline(mean, label=label(key, runs), **looks[key])
        if std > 0:
            ax.axhspan(mean - std, mean + std, color=looks[key]["color"], alpha=0.08, linewidth=0)


def new_figure(
    title: str, note: str, panels: tuple[int, int], panel: tuple[float, float]
) -> Figure:
    """An empty figure with room for its title; `finish` adds room for the legend. Its label is the caption.

    Args:
        title: of the figure.
        note: smaller, under the title.
        panels: rows and columns.
        panel: width and height of a panel, inches; a look with widths of its own keeps their proportion.
    """
    sizes = look()
    natural = max(panels[1] * panel[0], 4.8)
    width = natural if sizes.widths is None else sizes.widths[panels[1] > 1]
    high = panel[1] * max(width / natural, 0.6) * (LOW if panels[0] > MANY else 1)
    figure = Figure(
        figsize=(width, panels[0] * high + (0.07 * sizes.font if sizes.titles else 0.1)),
        layout="constrained",
    )
    figure.get_layout_engine().set(w_pad=0.06, h_pad=0.06)  # type: ignore[union-attr, call-arg]
    figure.set_label(f"{title}; {note}" if note else title)
    if sizes.titles:
        lines = textwrap.wrap(note, int(width * 150 / sizes.font))
        figure.suptitle("\n".join([title, *lines]), fontsize=0.9 * sizes.font)
    return figure


def setting_panels(
    title: str, note: str, rows: int, size: tuple[float, float], sharey: bool = True
) -> tuple[Figure, list[Axes]]:
    """A figure with a panel for each of `rows` settings, in two columns where there are many.

    Args:
        title: as in `new_figure`, like note.
        note: of all panels.
        rows: panels.
        size: width and height of a panel that is alone, inches.
        sharey: whether all panels have one scale.
    """
    columns = 2 if rows >= MANY else 1
    high = -(-rows // columns)
    figure = new_figure(title, note, (high, columns), (size[0] / columns**0.5, size[1]))
    axes = list(figure.subplots(high, columns, squeeze=False, sharex=True, sharey=sharey).flat)
    for spare in range(rows, len(axes)):
        axes[spare].set_axis_off()
        axes[spare - columns].tick_params(labelbottom=True)
    return figure, axes[:rows]


def finish(figure: Figure, axes: Sequence[Axes]) -> Figure:
    """Light grid on every panel and one legend for all of them below the panels."""
    entries: dict[str, Any] = {}
    for ax in axes:
        grid(ax)
        for handle, text in zip(*ax.get_legend_handles_labels(), strict=True):
            entries.setdefault(
                text, handle.lines[0] if isinstance(handle, ErrorbarContainer) else handle
            )
    if not entries:
        return figure
    entries = dict(sorted(entries.items(), key=lambda item: _last(item[1])))
    letter = SMALL * look().font / 72  # inches
    entry_width = 5.8 * letter + 0.53 * letter * max(map(len, entries))
    columns = max(1, min(len(entries), int(figure.get_figwidth() / entry_width)))
    size = SMALL * look().font * min(1.0, max(figure.get_figwidth() / entry_width, 0.75))
    figure.set_figheight(figure.get_figheight() + 0.2 + 1.5 * letter * -(-len(entries) // columns))
    figure.legend(
        entries.values(),
        entries.keys(),
        loc="outside lower center",
        ncols=columns,
        frameon=False,
        handlelength=3.2,
        columnspacing=1.5,
        fontsize=size,
    )
    return figure


def _last(line: Any) -> tuple[bool, bool]:
    """What puts a line at the end of the legend: bounds, and before them open markers."""
    return line.get_color() in BOUND_COLOURS, line.get_markerfacecolor() == "white"


def grid(ax: Axes) -> None:
    """A light grid behind what is drawn, and no frame at the top and the right."""
    ax.grid(True, color="#dddddd", linewidth=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)


def plain_log(ax: Axes, which: Literal["x", "y"], subs: Sequence[float] = (1, 2, 5)) -> None:
    """Makes an axis logarithmic, with ticks at `subs` of each decade, written out."""
    ax.set_xscale("log") if which == "x" else ax.set_yscale("log")
    axis = ax.xaxis if which == "x" else ax.yaxis
    axis.set_major_locator(LogLocator(subs=subs))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axis.set_minor_locator(NullLocator())


def bytes_axis(ax: Axes, label: str) -> None:
    """A logarithmic axis in MB with ticks at 1, 2 and 5 of each decade."""
    plain_log(ax, "x")
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
