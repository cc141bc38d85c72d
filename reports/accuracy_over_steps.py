"""Accuracy on the experiences so far between training steps (--eval-steps)."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from seit_cl.reporting.axes import MOST_ROWS, finish_figure, from_zero, new_figure
from seit_cl.reporting.bands import draw_mean
from seit_cl.reporting.base import Report
from seit_cl.reporting.grouping import (
    Series,
    finished,
    of_budget,
    of_setting,
    settings_of,
    sorted_budgets,
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
from seit_cl.reporting.places import line_of
from seit_cl.reporting.styles import Style, bound_styles, run_styles
from seit_cl.results.anytime import accuracy_by_step
from seit_cl.results.run_files import Run


class AccuracyOverSteps(Report):
    """A panel per setting and budget, with a line per series or strategy without a memory."""

    title = "Accuracy over training steps"
    source = "De Lange et al., ICLR 2023"

    def make(self, runs: Sequence[Run]) -> Figure | None:
        """Draw the figure; None if no finished run was tested between steps."""
        tested = [run for run in without_sweep_trials(finished(runs)) if not run.anytime.empty]
        if not tested:
            return None
        settings, left_out = first_panels(settings_of(tested), MOST_ROWS, "anytime")
        budgets = sorted_budgets(tested)
        panels = (len(settings), len(budgets))
        tail = f"on a fixed subset of the test images; {seeds_note(tested)}{left_out}"
        note = figure_note(settings, tail)
        figure = new_figure(self.title, note, panels, (3.6, 2.8))
        axes = figure.subplots(*panels, squeeze=False, sharex=True, sharey=True)
        styles = run_styles(finished(runs))
        for row, setting in zip(axes, settings, strict=True):
            for ax, budget in zip(row, budgets, strict=True):
                _draw_lines(ax, of_budget(of_setting(tested, setting), budget), runs, styles)
                name = megabytes(budget) if budget else "no memory"
                ax.set_title(join_parts(setting_label(setting, settings), name), fontsize="small")
            row[0].set_ylabel("accuracy so far (%)")
        for ax in axes[-1]:
            ax.set_xlabel("training steps")
        from_zero(axes[0, 0])
        return finish_figure(figure, list(axes.flat))


def _draw_lines(
    ax: Axes, group: Sequence[Run], runs: Sequence[Run], styles: dict[Series, Style]
) -> None:
    """Draw the mean of every series, with a band of one standard deviation."""
    lines: dict[Series, list[Run]] = {}
    for run in group:
        lines.setdefault(line_of(run), []).append(run)
    bounds = bound_styles([series for series in lines if series not in styles])
    for series, members in sorted(lines.items()):
        style = styles[series]._asdict() if series in styles else dict(bounds[series])
        style.pop("marker", None)  # a line has hundreds of points
        curves = pd.DataFrame(
            {i: 100 * accuracy_by_step(run.anytime) for i, run in enumerate(members)}
        )
        draw_mean(ax, curves, series_label(series, runs), style)


REPORT = AccuracyOverSteps
