"""Forgetting against the memory budget: the loss of accuracy since the best on past experiences."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.figure import Figure

from seit_cl.reporting.axes import (
    MOST_PANELS,
    draw_bounds,
    draw_lines,
    finish_figure,
    from_zero,
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
from seit_cl.results.metrics import forgetting
from seit_cl.results.run_files import Run


class Forgetting(Report):
    """A panel per setting, with a line per series."""

    title = "Forgetting against memory"
    source = "Chaudhry et al., ECCV 2018 (RWalk)"

    def make(self, runs: Sequence[Run]) -> Figure | None:
        """Draw the figure; None if no finished run with a memory could forget."""
        candidates = without_sweep_trials(at_all_budgets(runs))
        shown = [run for run in candidates if not math.isnan(forgetting(run.accuracy))]
        if not shown:
            return None
        done = finished(runs)
        settings, left_out = first_panels(settings_of(shown), MOST_PANELS, "summary")
        seeds = seeds_note(without_sweep_trials(done), done)
        note = figure_note(settings, f"{seeds}; lower is better{left_out}")
        figure, axes = setting_panels(self.title, note, len(settings), (5.4, 3.2))
        styles = run_styles(done)
        labels = {series: series_label(series, runs) for series in styles}
        for ax, setting in zip(axes, settings, strict=True):
            draw_lines(ax, of_setting(shown, setting), forgetting, styles, labels)
            draw_bounds(ax, setting, forgetting, runs)
            memory_axis(ax, shown)
            ax.set_title(setting_label(setting, settings))
            ax.set_ylabel("forgetting (points)")
        from_zero(axes[0])
        return finish_figure(figure, axes)


REPORT = Forgetting
