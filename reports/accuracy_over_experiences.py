"""Accuracy on the classes seen so far, after each experience."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from seit_cl.reporting.axes import MOST_ROWS, finish_figure, from_zero, new_figure
from seit_cl.reporting.base import Report
from seit_cl.reporting.grouping import (
    Setting,
    accuracy_curve,
    at_all_budgets,
    bounds_of,
    finished,
    of_budget,
    of_series,
    of_setting,
    settings_of,
    sorted_budgets,
    with_memory,
    without_sweep_trials,
)
from seit_cl.reporting.labels import (
    figure_note,
    first_panels,
    join_parts,
    megabytes,
    seeds_note,
    series_label,
    setting_label,
)
from seit_cl.reporting.presets import preset
from seit_cl.reporting.styles import bound_styles, run_styles
from seit_cl.results.run_files import Run


class AccuracyOverExperiences(Report):
    """A panel per setting and budget, with a line per series."""

    title = "Accuracy over experiences"
    source = "Rebuffi et al., CVPR 2017 (iCaRL)"

    def make(self, runs: Sequence[Run]) -> Figure | None:
        """Draw the figure; None if no finished run was tested after two experiences."""
        done = finished(runs)
        if not any(len(accuracy_curve([run])[0]) > 1 for run in done):
            return None
        shown = without_sweep_trials(at_all_budgets(done)) or done
        settings, left_out = first_panels(settings_of(shown), MOST_ROWS)
        if not with_memory(done):
            settings, left_out = settings[:1], ""  # bounds alone share one row of panels
        budgets = sorted_budgets(shown)
        note = figure_note(settings, seeds_note(without_sweep_trials(done), done) + left_out)
        panels = (len(settings), len(budgets))
        figure = new_figure(self.title, note, panels, (3.3, 2.8))
        axes = figure.subplots(*panels, squeeze=False, sharex=True, sharey=True)
        for row, setting in zip(axes, settings, strict=True):
            for ax, budget in zip(row, budgets, strict=True):
                if budget:
                    _draw_lines(ax, of_budget(of_setting(shown, setting), budget), done)
                _draw_bounds(ax, setting, done)
                name = megabytes(budget) if budget else "no memory"
                ax.set_title(join_parts(setting_label(setting, settings), name), fontsize="small")
                ax.xaxis.set_major_locator(MaxNLocator(integer=True))
            row[0].set_ylabel("accuracy on classes seen (%)")
        for ax in axes[-1]:
            ax.set_xlabel("experiences learnt")
        from_zero(axes[0, 0])
        return finish_figure(figure, list(axes.flat))


def _draw_lines(ax: Axes, shown: Sequence[Run], runs: Sequence[Run]) -> None:
    """Draw the mean of every series in a panel, with a band of one standard deviation."""
    for series, style in run_styles(runs).items():
        group = of_series(shown, series)
        if group:
            x, mean, std = accuracy_curve(group)
            label = series_label(series, runs)
            size = 0.9 * preset().marker
            ax.plot(x, mean, label=label, markersize=size, **style._asdict())
            ax.fill_between(x, mean - std, mean + std, color=style.color, alpha=0.18, linewidth=0)


def _draw_bounds(ax: Axes, setting: Setting, runs: Sequence[Run]) -> None:
    """Draw the runs without a memory; a joint run, tested once only, is a horizontal line."""
    bounds = bounds_of(runs, setting)
    styles = bound_styles(bounds)
    for bound, group in bounds.items():
        style = styles[bound]
        x, mean, std = accuracy_curve(group)
        if len(x) == 1:
            ax.axhline(mean[0], label=series_label(bound, runs, "all at once"), **style)
        elif len(x) > 1:
            ax.plot(x, mean, label=series_label(bound, runs), **style)
            ax.fill_between(x, mean - std, mean + std, color=style["color"], alpha=0.1, linewidth=0)


REPORT = AccuracyOverExperiences
