"""Final accuracy of the best option of each kind of format at each memory budget."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from seit_cl.reporting.axes import (
    MOST_PANELS,
    draw_bounds,
    draw_errorbars,
    finish_figure,
    from_zero,
    memory_axis,
    setting_panels,
)
from seit_cl.reporting.base import Report
from seit_cl.reporting.best import best_option, distinguishing_options
from seit_cl.reporting.grouping import (
    MB,
    at_all_budgets,
    format_options,
    of_budget,
    of_kind,
    of_setting,
    series_of,
    settings_of,
    sorted_budgets,
    sorted_kinds,
    sorted_series,
)
from seit_cl.reporting.labels import (
    figure_note,
    first_panels,
    seeds_note,
    series_label,
    setting_label,
)
from seit_cl.reporting.styles import Style, series_styles
from seit_cl.results.metrics import final_accuracy
from seit_cl.results.run_files import Run


class BestAgainstMemory(Report):
    """A panel per setting, with a line per kind of format and learner."""

    title = "Accuracy against memory, the best option of each format"

    def make(self, runs: Sequence[Run]) -> Figure | None:
        """Draw the figure; None if no kind of format was tried with two options."""
        shown = at_all_budgets(runs)
        kinds = sorted_kinds(shown)
        if len(kinds) == len(sorted_series(shown)):
            return None
        styles = series_styles(kinds, runs)
        settings, left_out = first_panels(settings_of(shown), MOST_PANELS, "summary")
        note = figure_note(settings, seeds_note(shown) + left_out)
        figure, axes = setting_panels(self.title, note, len(settings), (6.4, 3.6))
        for ax, setting in zip(axes, settings, strict=True):
            group = of_setting(shown, setting)
            for kind, style in styles.items():
                members = of_kind(group, kind)
                if members:
                    _draw_line(ax, members, series_label(kind, runs), style)
            draw_bounds(ax, setting, final_accuracy, runs)
            memory_axis(ax, shown)
            ax.set_ylabel("final accuracy (%)")
            ax.set_title(setting_label(setting, settings), fontsize="small")
        from_zero(axes[0])
        return finish_figure(figure, axes)


def _draw_line(ax: Axes, runs: list[Run], label: str, style: Style) -> None:
    """Draw the best option of one kind of format at each budget.

    The option is named below its point, as far as the options tried differ.
    """
    tried = {format_options(series_of(run)) for run in runs}
    budgets = []
    means = []
    stds = []
    texts = []
    for budget in sorted_budgets(runs):
        options, mean, std = best_option(of_budget(runs, budget))
        budgets.append(budget / MB)
        means.append(mean)
        stds.append(std)
        texts.append(distinguishing_options(options, tried))
    draw_errorbars(ax, budgets, means, stds, label, style)
    for x, y, text in zip(budgets, means, texts, strict=True):
        ax.annotate(
            text,
            (x, y),
            xytext=(0, -12),
            textcoords="offset points",
            ha="center",
            fontsize="x-small",
            color=style.color,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.5},
        )


REPORT = BestAgainstMemory
