"""Task-incremental accuracy against the memory budget: the experience of a sample is known."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.figure import Figure

from seit_cl.reporting.axes import (
    MOST_PANELS,
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
    of_setting,
    settings_of,
    without_sweep_trials,
)
from seit_cl.reporting.labels import (
    figure_note,
    first_panels,
    seeds_note,
    series_label,
    setting_label,
)
from seit_cl.reporting.styles import run_styles
from seit_cl.results.metrics import final_task_incremental_accuracy
from seit_cl.results.run_files import Run

METRIC = final_task_incremental_accuracy
NOTE = "the same scores, with the answer among the classes of the sample's experience"


class TaskIncremental(Report):
    """A panel per setting, with a line per series, of streams that partition the classes."""

    title = "Task-incremental accuracy against memory"
    source = "van de Ven and Tolias, 2019"

    def make(self, runs: Sequence[Run]) -> Figure | None:
        """Draw the figure; None if no finished run with a memory has such an accuracy."""
        candidates = without_sweep_trials(at_all_budgets(runs))
        shown = [run for run in candidates if has_accuracy(run)]
        if not shown:
            return None
        done = finished(runs)
        settings, left_out = first_panels(settings_of(shown), MOST_PANELS, "summary")
        seeds = seeds_note(without_sweep_trials(done), done)
        note = figure_note(settings, f"{seeds}; {NOTE}{left_out}")
        figure, axes = setting_panels(self.title, note, len(settings), (5.4, 3.2))
        styles = run_styles(done)
        labels = {series: series_label(series, runs) for series in styles}
        for ax, setting in zip(axes, settings, strict=True):
            draw_lines(ax, of_setting(shown, setting), METRIC, styles, labels)
            draw_bounds(ax, setting, METRIC, runs)
            memory_axis(ax, shown)
            ax.set_title(setting_label(setting, settings))
            ax.set_ylabel("task-incremental accuracy (%)")
        return finish_figure(figure, axes)


def has_accuracy(run: Run) -> bool:
    """True if the run counted answers among the classes of each sample's experience."""
    return not math.isnan(METRIC(run.accuracy))


REPORT = TaskIncremental
