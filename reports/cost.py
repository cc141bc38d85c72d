"""The cost of storing a stream in each format: over time, in a month, and with which accuracy."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from seit_cl.core.numbers import significant
from seit_cl.reporting.axes import MOST_ROWS, finish_figure, new_figure, plain_log
from seit_cl.reporting.base import Report
from seit_cl.reporting.cost import Prices, month_when_full, spent
from seit_cl.reporting.grouping import (
    MB,
    Series,
    Setting,
    at_all_budgets,
    finished,
    of_setting,
    settings_of,
    sorted_budgets,
    without_sweep_trials,
)
from seit_cl.reporting.labels import (
    figure_note,
    first_panels,
    seeds_note,
    series_label,
    setting_label,
)
from seit_cl.reporting.presets import preset
from seit_cl.reporting.storage import MeasuredSeries, budgets_of, describe_stream, measured_series
from seit_cl.reporting.styles import BOUND_COLOURS, DASHES, Style, run_styles
from seit_cl.results.run_files import Run

GREY_MARKERS = ("x", "+", "1", "2")  # of formats that no run stored
POINTS_IN_TIME = 48  # at which the cost over time is computed
MARK_EVERY = 8  # of these has a marker


class Cost(Report):
    """A row per setting: cost over time, cost of a month with a full store, final accuracy."""

    title = "What storing the stream costs, and the accuracy bought"

    def make(self, runs: Sequence[Run]) -> Figure | None:
        """Draw the figure; None without prices and densities, or if no run stored an exemplar."""
        prices = self.context.prices
        density = self.context.density
        if prices is None or density is None:
            return None
        shown = without_sweep_trials(at_all_budgets(runs))
        rows: dict[Setting, list[MeasuredSeries]] = {}
        for setting in settings_of(shown):
            measured = measured_series(of_setting(shown, setting), density)
            if measured:
                measured.sort(key=lambda each: each.storage.bytes_each, reverse=True)
                rows[setting] = measured
        if not rows:
            return None
        settings, left_out = first_panels(list(rows), MOST_ROWS, "storage_cost")
        rows = {setting: rows[setting] for setting in settings}
        deepest = max(len(measured) for measured in rows.values())
        panel_size = (4.0, max(2.6, 0.9 + 0.25 * deepest))
        note = figure_note(settings, _note(prices, shown) + left_out)
        figure = new_figure(self.title, note, (len(rows), 3), panel_size)
        axes = figure.subplots(len(rows), 3, squeeze=False, sharex="col")
        styles = _styles(rows.values(), run_styles(finished(runs)))
        for (over_time, month, accuracy), setting in zip(axes, settings, strict=True):
            measured = rows[setting]
            labels = [series_label(each.series, runs) for each in measured]
            _draw_over_time(over_time, measured, prices, styles, labels)
            _draw_month(month, measured, prices, styles, labels)
            _draw_accuracy(accuracy, measured, styles)
            over_time.set_title(setting_label(setting, settings))
        names = ("months", "cost a month (log)", "final accuracy (%)")
        for ax, name in zip(axes[-1], names, strict=True):
            ax.set_xlabel(name)
        return finish_figure(figure, list(axes.flat))


def _styles(
    rows: Iterable[Sequence[MeasuredSeries]], styles: Mapping[Series, Style]
) -> dict[Series, Style]:
    """The styles of all series: of formats that no run stored in some setting, those of another.

    Formats that no run stored at all are grey, with a marker and dashes of their own.

    Args:
        rows: the measured series of each setting.
        styles: of the series of runs.
    """
    found = dict(styles)
    by_format: dict[str, Style] = {}
    for series, style in styles.items():
        by_format.setdefault(series.format, style)
    greys = 0
    for measured in rows:
        for each in measured:
            if each.series in found:
                continue
            if each.series.format not in by_format:
                marker = GREY_MARKERS[greys % len(GREY_MARKERS)]
                dash = DASHES[greys % len(DASHES)]
                grey = BOUND_COLOURS[greys % len(BOUND_COLOURS)]
                by_format[each.series.format] = Style(grey, marker, dash)
                greys += 1
            found[each.series] = by_format[each.series.format]
    return found


def _note(prices: Prices, shown: Sequence[Run]) -> str:
    """The note under the title: the stream, the meaning of the marks, and the seeds."""
    budgets = ", ".join(significant(budget / MB, 3) for budget in sorted_budgets(shown))
    return (
        f"{describe_stream(prices)}; dotted: the store is full, as for the cost a month; "
        f"circles, small to large: {budgets} MB; {seeds_note(shown)}"
    )


def _draw_over_time(
    ax: Axes,
    measured: Sequence[MeasuredSeries],
    prices: Prices,
    styles: Mapping[Series, Style],
    labels: Sequence[str],
) -> None:
    """Draw the cost since the stream began, for twice the retention time."""
    end = 2 * prices.retention_months
    months = np.linspace(0, end, POINTS_IN_TIME + 1)[1:]
    priced = False
    for each, label in zip(measured, labels, strict=True):
        style = styles[each.series]
        costs = [spent(each.storage, prices, month) for month in months]
        ax.plot(months, costs, label=label, markevery=MARK_EVERY, **style._asdict())
        priced = priced or not math.isnan(costs[-1])
    ax.axvline(prices.retention_months, color="#999999", linestyle=(0, (1, 2)), linewidth=1)
    if priced:
        plain_log(ax, "y", (1,))
    else:
        ax.set_yticks([])
    ax.set_xlim(0, end)
    ax.set_ylabel("spent so far (log)")


def _draw_month(
    ax: Axes,
    measured: Sequence[MeasuredSeries],
    prices: Prices,
    styles: Mapping[Series, Style],
    labels: Sequence[str],
) -> None:
    """Draw the cost of a month with a full store, with its value or the reason why it lacks one.

    The labels of this panel name the rows of all three panels.
    """
    costs = [month_when_full(each.storage, prices) for each in measured]
    size = 1.2 * preset().marker
    for y, (cost, each) in enumerate(zip(costs, measured, strict=True)):
        if math.isnan(cost):
            ax.annotate(
                "encoding not measured",
                (0.03, y),
                xycoords=("axes fraction", "data"),
                va="center",
                fontsize="small",
            )
            continue
        style = styles[each.series]
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
    priced = [cost for cost in costs if not math.isnan(cost)]
    if priced and min(priced) > 0:
        low = min(priced)
        high = max(priced)
        plain_log(ax, "x", (1,) if high > 50 * low else (1, 2, 5))
        ax.set_xlim(low / 1.5, high * max(2.0, (high / low) ** 0.35))
    elif not priced:
        ax.set_xticks([])
    ax.set_yticks(np.arange(len(measured)), labels)
    ax.set_ylim(-0.6, len(measured) - 0.4)


def _draw_accuracy(
    ax: Axes, measured: Sequence[MeasuredSeries], styles: Mapping[Series, Style]
) -> None:
    """Draw final accuracy in the rows of the costs: a circle per budget, larger for more bytes."""
    budgets = budgets_of(measured)
    last = max(len(budgets) - 1, 1)
    for y, each in enumerate(measured):
        for budget, accuracy in each.accuracy.items():
            size = 0.7 + 0.9 * budgets.index(budget) / last
            ax.errorbar(
                accuracy.mean,
                y,
                xerr=accuracy.std,
                color=styles[each.series].color,
                marker="o",
                markersize=preset().marker * size,
                markerfacecolor="white",
                capsize=0.4 * preset().marker,
            )
    ax.set_yticks(range(len(measured)), [""] * len(measured))
    ax.set_ylim(-0.6, len(measured) - 0.4)


REPORT = Cost
