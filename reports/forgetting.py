"""Forgetting against the memory budget: how far the earlier experiences fell from their best."""

from __future__ import annotations

import math

from matplotlib.figure import Figure

from seit_cl.reporting.axes import (
    draw_bounds,
    draw_lines,
    finish_figure,
    memory_axis,
    setting_panels,
)
from seit_cl.reporting.base import Report
from seit_cl.reporting.grouping import (
    at_all_budgets,
    finished,
    setting_of,
    settings_of,
    without_sweep_trials,
)
from seit_cl.reporting.labels import figure_note, seeds_note, series_label, setting_label
from seit_cl.reporting.styles import run_styles
from seit_cl.results.metrics import forgetting
from seit_cl.results.run_files import Run

TITLE = "Forgetting against memory"


def make(runs: list[Run]) -> Figure | None:
    """One panel per setting; None where no finished run with a memory could forget."""
    shown = without_sweep_trials(at_all_budgets(runs))
    shown = [run for run in shown if not math.isnan(forgetting(run.accuracy))]
    if not shown:
        return None
    rows, done = settings_of(shown), finished(runs)
    note = figure_note(rows, seeds_note(without_sweep_trials(done), done) + "; lower is better")
    figure, axes = setting_panels(TITLE, note, len(rows), (5.4, 3.2))
    looks = run_styles(done)
    names = {key: series_label(key, runs) for key in looks}
    for ax, row in zip(axes, rows, strict=True):
        draw_lines(ax, [run for run in shown if setting_of(run) == row], forgetting, looks, names)
        draw_bounds(ax, row, forgetting, runs)
        memory_axis(ax, shown)
        ax.set_title(setting_label(row, rows))
        ax.set_ylabel("forgetting (points)")
    axes[0].set_ylim(bottom=0)
    return finish_figure(figure, axes)


REPORT = Report("forgetting", TITLE, make)
