"""What storing the stream costs in each format, over time, next to the accuracy that a memory of that format bought."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from seit_cl.reporting.axes import add_grid, new_figure, plain_log
from seit_cl.reporting.base import Report
from seit_cl.reporting.cost import Prices, month_when_full, spent
from seit_cl.reporting.grouping import (
    MB,
    Series,
    at_all_budgets,
    budget_of,
    finished,
    settings_of,
    without_sweep_trials,
)
from seit_cl.reporting.labels import (
    figure_note,
    seeds_note,
    series_label,
    setting_label,
    significant,
)
from seit_cl.reporting.presets import preset
from seit_cl.reporting.storage import Line, lines_of, stream
from seit_cl.reporting.styles import Style, run_styles
from seit_cl.results.run_files import Run

TITLE = "What storing the stream costs, and the accuracy bought"


def make(runs: list[Run], prices: Prices) -> Figure | None:
    """A row per setting: what was spent over time, what a month costs once the store is full, final accuracy at each budget."""
    shown = without_sweep_trials(at_all_budgets(runs))
    rows = [row for row in settings_of(shown) if lines_of(shown, row)]
    if not rows:
        return None
    deepest = max(len(lines_of(shown, row)) for row in rows)
    size = (4.0, max(2.6, 0.9 + 0.25 * deepest))
    budgets = ", ".join(f"{size / MB:.3g}" for size in sorted({budget_of(run) for run in shown}))
    words = f"{stream(prices)}; dotted: the store is full, as for the cost a month; circles, small to large: {budgets} MB"
    figure = new_figure(
        TITLE, figure_note(rows, f"{words}; {seeds_note(shown)}"), (len(rows), 3), size
    )
    axes = figure.subplots(len(rows), 3, squeeze=False)
    looks = run_styles(finished(runs))
    for (over_time, a_month, accuracy), row in zip(axes, rows, strict=True):
        lines = sorted(lines_of(shown, row), key=lambda line: line.storage.bytes_each, reverse=True)
        _over_time(over_time, lines, prices, looks)
        _a_month(a_month, lines, prices, looks, [series_label(line.key, runs) for line in lines])
        _accuracy(accuracy, lines, looks)
        for ax in (over_time, a_month, accuracy):
            add_grid(ax)
        over_time.set_title(setting_label(row, rows))
    return figure


def _over_time(ax: Axes, lines: list[Line], prices: Prices, looks: dict[Series, Style]) -> None:
    """Spent since the stream began, for twice the retention."""
    months = np.linspace(0, 2 * prices.retention_months, 49)[1:]
    for line in lines:
        style = looks[line.key]
        ax.plot(
            months,
            [spent(line.storage, prices, m) for m in months],
            color=style.color,
            linestyle=style.linestyle,
        )
    ax.axvline(prices.retention_months, color="#999999", linestyle=(0, (1, 2)), linewidth=1)
    plain_log(ax, "y", (1,))
    ax.set_xlim(0, 2 * prices.retention_months)
    ax.set_xlabel("months")
    ax.set_ylabel("spent so far (log)")


def _a_month(
    ax: Axes,
    lines: list[Line],
    prices: Prices,
    looks: dict[Series, Style],
    names: list[str],
) -> None:
    """Markers with their value, or why there is none, which name the lines of all three panels."""
    costs = [month_when_full(line.storage, prices) for line in lines]
    at = np.arange(len(lines))
    known = [cost for cost in costs if not math.isnan(cost)] or [0.0]
    low, high = min(known), max(known)
    for y, cost, line in zip(at, costs, lines, strict=True):
        if math.isnan(cost):
            ax.annotate(
                "encoding not timed",
                (0.03, y),
                xycoords=("axes fraction", "data"),
                va="center",
                fontsize="small",
            )
            continue
        style, size = looks[line.key], 1.2 * preset().marker
        ax.plot(
            [cost], [y], linestyle="none", marker=style.marker, color=style.color, markersize=size
        )
        ax.annotate(
            significant(cost, 3),
            (cost, y),
            xytext=(size, 0),
            textcoords="offset points",
            va="center",
            fontsize="small",
        )
    if low > 0:
        plain_log(ax, "x", (1,) if high > 50 * low else (1, 2, 5))
        ax.set_xlim(low / 1.5, high * max(2.0, (high / low) ** 0.35))
    ax.set_yticks(at, names)
    ax.set_ylim(-0.6, len(lines) - 0.4)
    ax.set_xlabel("cost a month (log)")


def _accuracy(ax: Axes, lines: list[Line], looks: dict[Series, Style]) -> None:
    """A marker per budget, larger for more bytes, on the rows of the costs."""
    sizes = sorted({size for line in lines for size in line.accuracy})
    for y, line in enumerate(lines):
        for size, (mean, std, _) in line.accuracy.items():
            width = preset().marker * (0.7 + 0.9 * sizes.index(size) / max(len(sizes) - 1, 1))
            ax.errorbar(
                mean,
                y,
                xerr=std,
                color=looks[line.key].color,
                marker="o",
                markersize=width,
                markerfacecolor="white",
                capsize=0.4 * preset().marker,
            )
    ax.set_yticks(range(len(lines)), [""] * len(lines))
    ax.set_ylim(-0.6, len(lines) - 0.4)
    ax.set_xlabel("final accuracy (%)")


REPORT = Report("cost", TITLE, make, priced=True)
