"""Accuracy on the classes seen so far, after each experience: a panel per budget, a line per format."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from seit_cl.reporting.axes import finish_figure, new_figure
from seit_cl.reporting.base import Report
from seit_cl.reporting.grouping import (
    Setting,
    accuracy_curve,
    at_all_budgets,
    bounds_of,
    budget_of,
    finished,
    series_of,
    setting_of,
    settings_of,
    with_memory,
    without_sweep_trials,
)
from seit_cl.reporting.labels import figure_note, megabytes, seeds_note, series_label, setting_label
from seit_cl.reporting.presets import preset
from seit_cl.reporting.styles import bound_styles, run_styles
from seit_cl.results.run_files import Run

TITLE = "Accuracy over experiences"


def make(runs: list[Run]) -> Figure | None:
    """One panel per setting and budget; None when no finished run was tested at two steps or more."""
    done = finished(runs)
    if not any(len(accuracy_curve([run])[0]) > 1 for run in done):
        return None
    shown = without_sweep_trials(at_all_budgets(done)) or done
    rows = settings_of(shown) if with_memory(done) else settings_of(shown)[:1]
    budgets = sorted({budget_of(run) for run in shown})
    note = figure_note(rows, seeds_note(without_sweep_trials(done), done))
    figure = new_figure(TITLE, note, (len(rows), len(budgets)), (3.3, 2.8))
    axes = figure.subplots(len(rows), len(budgets), squeeze=False, sharex=True, sharey=True)
    for i, row in enumerate(rows):
        for j, size in enumerate(budgets):
            ax = axes[i, j]
            panel = [run for run in shown if setting_of(run) == row and budget_of(run) == size]
            _lines(ax, [run for run in panel if size], done)
            _bounds(ax, row, done)
            name = megabytes(size) if size else "no memory"
            ax.set_title(
                f"{setting_label(row, rows)}, {name}" if len(rows) > 1 else name, fontsize="small"
            )
            ax.xaxis.set_major_locator(MaxNLocator(integer=True))
            if i == len(rows) - 1:
                ax.set_xlabel("experiences learnt")
        axes[i, 0].set_ylabel("accuracy on classes seen (%)")
    axes[0, 0].set_ylim(bottom=0)
    return finish_figure(figure, list(axes.flat))


def _lines(ax: Axes, panel: list[Run], runs: list[Run]) -> None:
    """A line with its band for every series of the panel."""
    for key, style in run_styles(runs).items():
        group = [run for run in panel if series_of(run) == key]
        if group:
            x, mean, std = accuracy_curve(group)
            ax.plot(
                x,
                mean,
                label=series_label(key, runs),
                markersize=0.9 * preset().marker,
                **style._asdict(),
            )
            ax.fill_between(x, mean - std, mean + std, color=style.color, alpha=0.18, linewidth=0)


def _bounds(ax: Axes, row: Setting, runs: list[Run]) -> None:
    """Runs without memory, dashed; one tested once only (joint) is a level line."""
    bounds = bounds_of(runs, row)
    looks = bound_styles(bounds)
    for key, group in bounds.items():
        x, mean, std = accuracy_curve(group)
        if len(x) > 1:
            ax.plot(x, mean, label=series_label(key, runs), **looks[key])
            ax.fill_between(
                x, mean - std, mean + std, color=looks[key]["color"], alpha=0.1, linewidth=0
            )
        elif len(x) == 1:
            ax.axhline(mean[0], label=series_label(key, runs, "all at once"), **looks[key])


REPORT = Report("accuracy_over_experiences", TITLE, make)
