"""Empty figures and panels, axes with units, the legend, and lines against the memory budget."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from seit_cl.core.numbers import significant
from seit_cl.reporting.grouping import (
    MB,
    Metric,
    Series,
    Setting,
    bounds_of,
    mean_std,
    of_budget,
    of_series,
    percentages,
    sorted_budgets,
    trained_jointly,
)
from seit_cl.reporting.labels import series_label
from seit_cl.reporting.presets import preset
from seit_cl.reporting.styles import BOUND_COLOURS, Style, bound_styles
from seit_cl.reporting.titles import POINTS_PER_INCH, SMALL_FONT, wrap_titles
from seit_cl.results.metrics import average_incremental_accuracy
from seit_cl.results.run_files import Run

MANY_ROWS = 4  # of panels: figures with more rows have lower panels
MOST_ROWS = 10  # of a figure with a row for each setting
MOST_PANELS = 24  # of a figure with a panel for each setting
LOW_PANEL = 0.72  # height of these, as a fraction
NARROWEST = 4.8  # inches of a figure whose preset has no widths


def draw_lines(
    ax: Axes,
    runs: Sequence[Run],
    metric: Metric,
    styles: Mapping[Series, Style],
    labels: Mapping[Series, str],
) -> None:
    """Draw a metric in percent against the budget.

    Points are means over seeds, error bars their standard deviations.

    Args:
        ax: the panel.
        runs: of one setting.
        metric: of a run's accuracies; runs of which it is nan are left out.
        styles: of the lines, in the order in which they are drawn.
        labels: of the lines.
    """
    for series, style in styles.items():
        budgets = []
        means = []
        stds = []
        group = of_series(runs, series)
        for budget in sorted_budgets(group):
            mean, std = mean_std(percentages(of_budget(group, budget), metric))
            if not math.isnan(mean):
                budgets.append(budget / MB)
                means.append(mean)
                stds.append(std)
        if budgets:
            draw_errorbars(ax, budgets, means, stds, labels[series], style)


def draw_errorbars(
    ax: Axes,
    x: Sequence[float],
    means: Sequence[float],
    errors: Sequence[float],
    label: str,
    style: Style,
) -> None:
    """Draw a line with vertical error bars in the sizes of the preset; none where an error is nan.

    Their caps are wider than a marker, which may cover the rest of a short bar. An error of zero,
    that of a single run, has no bar.
    """
    capsize = 0.9 * preset().marker
    drawn = [error if error else math.nan for error in errors]
    ax.errorbar(x, means, yerr=drawn, label=label, capsize=capsize, **style._asdict())


def draw_bounds(ax: Axes, setting: Setting, metric: Metric, runs: Sequence[Run]) -> None:
    """Draw a metric of the runs without a memory as horizontal lines and bands.

    The bands are of one standard deviation. Joint runs have no average incremental accuracy to
    compare: they are tested once only, after all experiences.
    """
    bounds = bounds_of(runs, setting)
    styles = bound_styles(bounds)
    for bound, group in bounds.items():
        if metric is average_incremental_accuracy and all(trained_jointly(run) for run in group):
            continue
        mean, std = mean_std(percentages(group, metric))
        if math.isnan(mean):
            continue
        style = styles[bound]
        ax.axhline(mean, label=series_label(bound, runs), **style)
        if std > 0:
            ax.axhspan(mean - std, mean + std, color=style["color"], alpha=0.08, linewidth=0)


def new_figure(
    title: str, note: str, panels: tuple[int, int], panel_size: tuple[float, float]
) -> Figure:
    """Make an empty figure with room for its title; its label is the caption.

    Args:
        title: of the figure.
        note: below the title, in the same font.
        panels: numbers of rows and columns.
        panel_size: width and height of a panel in inches; a preset with widths of its own keeps
            their proportion.
    """
    sizes = preset()
    rows, columns = panels
    panel_width, panel_height = panel_size
    own_width = max(columns * panel_width, NARROWEST)
    if sizes.widths is None:
        width = own_width
    else:
        width = sizes.widths[1] if columns > 1 else sizes.widths[0]
    height = panel_height * max(width / own_width, 0.6)
    if rows > MANY_ROWS:
        height *= LOW_PANEL
    room_for_title = 0.07 * sizes.font if sizes.titles else 0.1
    figure = Figure(figsize=(width, rows * height + room_for_title), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.06, h_pad=0.06)  # type: ignore[union-attr, call-arg]
    figure.set_label(f"{title}; {note}" if note else title)
    if sizes.titles:
        letters_per_line = int(width * 150 / sizes.font)
        lines = [title, *textwrap.wrap(note, letters_per_line)]
        figure.suptitle("\n".join(lines), fontsize=0.9 * sizes.font)
    return figure


def setting_panels(
    title: str, note: str, count: int, panel_size: tuple[float, float], sharey: bool = True
) -> tuple[Figure, list[Axes]]:
    """Make a figure with a panel for each of several settings, in columns where there are many.

    Args:
        title: as in `new_figure`.
        note: as in `new_figure`.
        count: the number of panels.
        panel_size: width and height in inches of a single panel.
        sharey: whether all panels have one scale.
    """
    columns = 1 if count < MANY_ROWS else 2 if count <= 2 * MANY_ROWS else 3
    rows = math.ceil(count / columns)
    width, height = panel_size
    figure = new_figure(title, note, (rows, columns), (width / columns**0.5, height))
    axes = list(figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=sharey).flat)
    for unused in range(count, len(axes)):
        axes[unused].set_axis_off()
        axes[unused - columns].tick_params(labelbottom=True)
    return figure, axes[:count]


def finish_figure(figure: Figure, axes: Sequence[Axes]) -> Figure:
    """Add a light grid to every panel, and below the panels one legend for all of them.

    Titles that are wider than their panel are broken into lines.
    """
    wrap_titles(axes)
    handles: dict[str, Any] = {}
    for ax in axes:
        add_grid(ax)
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            # of a line with error bars, the line alone
            line = handle.lines[0] if isinstance(handle, ErrorbarContainer) else handle
            handles.setdefault(label, line)
    if handles:
        _add_legend(figure, handles)
    return figure


def _add_legend(figure: Figure, handles: Mapping[str, Any]) -> None:
    """Add a legend of lines by label below the panels, in as many columns as the width holds."""
    labels = sorted(handles, key=lambda label: _legend_rank(handles[label]))
    font = SMALL_FONT * preset().font
    inches = font / POINTS_PER_INCH
    longest = max(len(label) for label in labels)
    entry_width = 5.8 * inches + 0.53 * inches * longest  # of the line and of letters
    entries_per_row = figure.get_figwidth() / entry_width
    columns = max(1, min(len(labels), int(entries_per_row)))
    rows = math.ceil(len(labels) / columns)
    shrink = min(1.0, max(entries_per_row, 0.75))  # below 1 where not even one entry fits
    figure.set_figheight(figure.get_figheight() + 0.2 + 1.5 * inches * rows)
    figure.legend(
        [handles[label] for label in labels],
        labels,
        loc="outside lower center",
        ncols=columns,
        frameon=False,
        handlelength=3.2,
        columnspacing=1.5,
        fontsize=font * shrink,
    )


def _legend_rank(line: Any) -> tuple[bool, bool]:
    """The sorting key of legends: bounds at the end, before them lines with open markers."""
    is_bound = line.get_color() in BOUND_COLOURS
    is_open = line.get_markerfacecolor() == "white"
    return is_bound, is_open


def add_grid(ax: Axes) -> None:
    """Add a light grid behind the lines, and remove the frame at the top and the right."""
    ax.grid(True, color="#dddddd", linewidth=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)


def plain_log(ax: Axes, which: Literal["x", "y"], subs: Sequence[float] = (1, 2, 5)) -> None:
    """Make an axis logarithmic, with ticks at `subs` of each decade, written without exponents."""
    if which == "x":
        ax.set_xscale("log")
        axis: Any = ax.xaxis
    else:
        ax.set_yscale("log")
        axis = ax.yaxis
    axis.set_major_locator(LogLocator(subs=subs))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axis.set_minor_locator(NullLocator())


def from_zero(ax: Axes) -> None:
    """Begin the y axis at zero, with room for whole markers at its upper end."""
    top = ax.get_ylim()[1]
    ax.set_ylim(0, 1.08 * top if top > 0 else 1)


def at_least_a_decade(ax: Axes) -> None:
    """Widen a logarithmic x axis to a factor of ten, so that equal costs look equal.

    Axes that are wider already get room at their ends.
    """
    low, high = ax.get_xlim()
    low /= 1.2
    high *= 1.2
    middle = math.sqrt(low * high)
    ax.set_xlim(min(low, middle / math.sqrt(10)), max(high, middle * math.sqrt(10)))


def bytes_axis(ax: Axes, label: str) -> None:
    """Make the x axis logarithmic in MB, with ticks at 1, 2 and 5 of each decade."""
    plain_log(ax, "x")
    _label_last_row(ax, label)


def memory_axis(ax: Axes, runs: Sequence[Run]) -> None:
    """Make the x axis logarithmic in MB, with ticks at the budgets of the runs.

    Budgets whose ticks would touch others have none.
    """
    budgets = [budget / MB for budget in sorted_budgets(runs)]
    smallest = budgets[0]
    largest = budgets[-1]
    least_ratio = max((largest / smallest) ** (1 / 8), 1.05)
    ticks = [smallest]
    for budget in budgets[1:]:
        if budget / ticks[-1] >= least_ratio:
            ticks.append(budget)
    ax.set_xscale("log")
    ax.set_xticks(ticks, [significant(tick, 3) for tick in ticks])
    ax.set_xticks([], minor=True)
    ax.set_xlim(smallest / 1.35, largest * 1.35)
    _label_last_row(ax, "memory budget (MB, log scale)")


def _label_last_row(ax: Axes, label: str) -> None:
    """Label the x axis of a panel in the last row of its figure."""
    if ax.get_subplotspec().is_last_row():  # type: ignore[union-attr]
        ax.set_xlabel(label)
