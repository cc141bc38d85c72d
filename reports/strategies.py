"""Strategies ranked by final accuracy at each memory budget, in each format."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from seit_cl.reporting.axes import finish_figure, new_figure
from seit_cl.reporting.base import Report
from seit_cl.reporting.best import best_runs
from seit_cl.reporting.grouping import (
    Series,
    Setting,
    at_all_budgets,
    budget_of,
    finished,
    mean_std,
    of_budget,
    series_of,
    setting_of,
    sorted_series,
    without_sweep_trials,
)
from seit_cl.reporting.labels import (
    figure_note,
    join_parts,
    megabytes,
    seeds_note,
    series_label,
    setting_label,
)
from seit_cl.reporting.presets import preset
from seit_cl.reporting.styles import Style, series_styles
from seit_cl.results.metrics import final_accuracy
from seit_cl.results.run_files import Run

NOTE = "diamonds: strategies without a memory, lines at the lowest and the highest"
SPREAD = 0.5  # of the markers of one strategy, as a fraction of the distance between strategies


class Panel(NamedTuple):
    """Dataset, scenario and memory budget in bytes."""

    dataset: str
    scenario: str
    budget: int

    @property
    def setting(self) -> Setting:
        """The setting of the panel, without a strategy."""
        return Setting(self.dataset, self.scenario, "")


class Point(NamedTuple):
    """Final accuracy over seeds in percent."""

    mean: float
    std: float


# by strategy, then by series; of a strategy without a memory, the series has no format
Points = Mapping[str, Mapping[Series, Point]]


class Strategies(Report):
    """A panel per dataset, scenario and budget, with a row per strategy."""

    title = "Strategies ranked by final accuracy"

    def make(self, runs: Sequence[Run]) -> Figure | None:
        """Draw the figure; None if fewer than two strategies have a memory."""
        shown = best_runs(without_sweep_trials(at_all_budgets(runs)))
        if len({setting_of(run).strategy for run in shown}) < 2:
            return None
        bounds = of_budget(finished(runs), 0)
        panels = sorted({_panel_of(run) for run in shown})
        points = {panel: ranked_points([*shown, *bounds], panel) for panel in panels}
        settings = [panel.setting for panel in panels]
        most_rows = max(len(each) for each in points.values())
        panel_size = (4.2, 0.7 + 0.24 * most_rows)
        columns = min(len(panels), 2 if len(panels) in (2, 4) else 3)
        rows = math.ceil(len(panels) / columns)
        note = figure_note(settings, f"{seeds_note(shown)}; {NOTE}")
        figure = new_figure(self.title, note, (rows, columns), panel_size)
        axes = list(figure.subplots(rows, columns, squeeze=False, sharex=True).flat)
        styles = series_styles(sorted_series(shown), runs)
        for ax, panel in zip(axes, panels, strict=False):
            _draw_ranking(ax, points[panel], styles, runs)
            name = setting_label(panel.setting, settings)
            ax.set_title(join_parts(name, megabytes(panel.budget)))
            ax.set_xlabel("final accuracy (%)")
        for ax in axes[len(panels) :]:
            ax.set_axis_off()
        return finish_figure(figure, axes[: len(panels)])


def _panel_of(run: Run) -> Panel:
    setting = setting_of(run)
    return Panel(setting.dataset, setting.scenario, budget_of(run))


def ranked_points(runs: Sequence[Run], panel: Panel) -> Points:
    """The points of a panel, the strategy with the lowest best mean first.

    Args:
        runs: finished runs, with and without a memory.
        panel: runs of other panels are left out; those without a memory are in every panel of
            their dataset and scenario.
    """
    accuracies: dict[str, dict[Series, list[float]]] = {}
    for run in runs:
        setting = setting_of(run)
        series = series_of(run)
        if budget_of(run) == 0:
            series = series._replace(format="")
        in_panel = _panel_of(run) in (panel, panel._replace(budget=0))
        if in_panel:
            by_series = accuracies.setdefault(setting.strategy, {})
            by_series.setdefault(series, []).append(100 * final_accuracy(run.accuracy))
    points = {}
    for strategy, by_series in accuracies.items():
        points[strategy] = {each: Point(*mean_std(by_series[each])) for each in by_series}

    def best_mean(strategy: str) -> float:
        return max(point.mean for point in points[strategy].values())

    return {strategy: points[strategy] for strategy in sorted(points, key=best_mean)}


def _draw_ranking(
    ax: Axes, points: Points, styles: Mapping[Series, Style], runs: Sequence[Run]
) -> None:
    """Draw a row per strategy, with a marker per series and one for strategies without a memory."""
    ax.set_yticks(range(len(points)), list(points))
    ax.set_ylim(-0.6, len(points) - 0.4)
    for i, (series, style) in enumerate(styles.items()):
        rows = {y: each[series] for y, each in enumerate(points.values()) if series in each}
        if rows:
            offset = SPREAD * (0.5 - (i + 0.5) / len(styles))
            heights = [y + offset for y in rows]
            label = series_label(series, runs)
            _draw_markers(ax, rows.values(), heights, label, color=style.color, marker=style.marker)
    heights = []
    without: list[Point] = []
    for y, by_series in enumerate(points.values()):
        for series, point in by_series.items():
            if not series.format:
                heights.append(y)
                without.append(point)
    if without:
        _draw_markers(
            ax,
            without,
            heights,
            "without memory",
            color="#222222",
            marker="D",
            markerfacecolor="white",
        )
        means = [point.mean for point in without]
        for bound in {min(means), max(means)}:
            ax.axvline(
                bound,
                color="#999999",
                linestyle=(0, (5, 3)),
                linewidth=0.7 * preset().line,
                zorder=0.5,
            )


def _draw_markers(
    ax: Axes, points: Collection[Point], heights: Sequence[float], label: str, **style: Any
) -> None:
    """Draw markers with horizontal error bars."""
    means = [point.mean for point in points]
    stds = [point.std for point in points]
    ax.errorbar(
        means,
        heights,
        xerr=stds,
        label=label,
        capsize=0.5 * preset().marker,
        linestyle="none",
        **style,
    )


REPORT = Strategies
