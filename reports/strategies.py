"""Strategies ranked at each budget: which one a memory of that size serves best, in each format."""

from __future__ import annotations

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
    in_order,
    mean_std,
    series_of,
    setting_of,
    without_sweep_trials,
)
from seit_cl.reporting.labels import figure_note, megabytes, seeds_note, series_label, setting_label
from seit_cl.reporting.presets import preset
from seit_cl.reporting.styles import Style, series_styles
from seit_cl.results.metrics import final_accuracy
from seit_cl.results.run_files import Run

TITLE = "Strategies ranked by final accuracy"
NOTE = "diamonds: strategies without a memory, lines at the lowest and the highest"
Points = dict[str, dict[Series, tuple[float, float]]]


def make(runs: list[Run]) -> Figure | None:
    """A panel per dataset, scenario and budget, a row per strategy; None for less than two strategies with a memory."""
    shown = best_runs(without_sweep_trials(at_all_budgets(runs)))
    if len({setting_of(run).strategy for run in shown}) < 2:
        return None
    panels = sorted({(*setting_of(run)[:2], budget_of(run)) for run in shown})
    columns = min(len(panels), 2 if len(panels) in (2, 4) else 3)
    deepest = max(len(points_of(shown, runs, panel)) for panel in panels)
    settings = [Setting(dataset, scenario, "") for dataset, scenario, _ in panels]
    note = figure_note(settings, f"{seeds_note(shown)}; {NOTE}")
    size = (4.2, 0.7 + 0.24 * deepest)
    figure = new_figure(TITLE, note, (-(-len(panels) // columns), columns), size)
    axes = list(
        figure.subplots(-(-len(panels) // columns), columns, squeeze=False, sharex=True).flat
    )
    looks = series_styles(in_order({series_of(run) for run in shown}), runs)
    for ax, panel, setting in zip(axes, panels, settings, strict=False):
        _rank(ax, points_of(shown, runs, panel), looks, runs)
        ax.set_title(
            ", ".join(filter(None, (setting_label(setting, settings), megabytes(panel[2]))))
        )
        ax.set_xlabel("final accuracy (%)")
    for ax in axes[len(panels) :]:
        ax.set_axis_off()
    return finish_figure(figure, axes[: len(panels)])


def points_of(shown: list[Run], runs: list[Run], panel: tuple[str, str, int]) -> Points:
    """Mean and standard deviation of final accuracy in percent by strategy and series, lowest strategy first; of a strategy
    without a memory, the series has no format."""
    ends: dict[str, dict[Series, list[float]]] = {}
    for run in [*shown, *(run for run in finished(runs) if budget_of(run) == 0)]:
        row, size = setting_of(run), budget_of(run)
        if row[:2] == panel[:2] and size in (0, panel[2]):
            key = series_of(run) if size else series_of(run)._replace(format="")
            ends.setdefault(row.strategy, {}).setdefault(key, []).append(
                100 * final_accuracy(run.accuracy)
            )
    points = {
        name: {key: mean_std(values) for key, values in found.items()}
        for name, found in ends.items()
    }
    return dict(sorted(points.items(), key=lambda item: max(mean for mean, _ in item[1].values())))


def _rank(ax: Axes, points: Points, looks: dict[Series, Style], runs: list[Run]) -> None:
    """A row per strategy, a marker per series, apart by a little so that bars do not hide each other."""
    ax.set_yticks(range(len(points)), list(points))
    ax.set_ylim(-0.6, len(points) - 0.4)
    for i, (key, style) in enumerate(looks.items()):
        found = [(y, *line[key]) for y, line in enumerate(points.values()) if key in line]
        if found:
            y, means, stds = zip(*found, strict=True)
            apart = 0.5 * (0.5 - (i + 0.5) / len(looks))
            ax.errorbar(
                means,
                [at + apart for at in y],
                xerr=stds,
                label=series_label(key, runs),
                capsize=0.5 * preset().marker,
                color=style.color,
                marker=style.marker,
                linestyle="none",
            )
    free = [
        (y, *line[key]) for y, line in enumerate(points.values()) for key in line if not key.format
    ]
    if free:
        y, means, stds = zip(*free, strict=True)
        ax.errorbar(
            means,
            y,
            xerr=stds,
            label="without memory",
            color="#222222",
            marker="D",
            markerfacecolor="white",
            linestyle="none",
            capsize=0.5 * preset().marker,
        )
        for bound in {min(means), max(means)}:
            ax.axvline(
                bound,
                color="#999999",
                linestyle=(0, (5, 3)),
                linewidth=0.7 * preset().line,
                zorder=0.5,
            )


REPORT = Report("strategies", TITLE, make)
