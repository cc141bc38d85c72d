"""The number of exemplars in the memory in each format, and the number that would fit."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from seit_cl.reporting.axes import (
    MOST_PANELS,
    draw_errorbars,
    finish_figure,
    memory_axis,
    plain_log,
    setting_panels,
)
from seit_cl.reporting.base import Report
from seit_cl.reporting.grouping import (
    MB,
    Series,
    budget_binds,
    budget_of,
    finished,
    mean_std,
    of_budget,
    of_series,
    of_setting,
    series_of,
    settings_of,
    sorted_budgets,
    with_exemplars,
    with_memory,
)
from seit_cl.reporting.labels import (
    figure_note,
    first_panels,
    seeds_note,
    series_label,
    setting_label,
)
from seit_cl.reporting.styles import Style, run_styles
from seit_cl.results.replicates import Replicate, replicate_of
from seit_cl.results.run_files import Run

CAPACITY_LABEL = "open, dotted: would fit with enough samples"


class ExemplarsAgainstMemory(Report):
    """A panel per setting, with a line per series."""

    title = "Exemplars against memory"

    def make(self, runs: Sequence[Run]) -> Figure | None:
        """Draw the figure; None if no finished run stored an exemplar."""
        shown = with_exemplars(with_memory(runs))
        if not shown:
            return None
        settings, left_out = first_panels(settings_of(shown), MOST_PANELS, "summary")
        note = figure_note(settings, seeds_note(shown) + left_out)
        figure, axes = setting_panels(self.title, note, len(settings), (5.6, 3.4), sharey=False)
        styles = run_styles(finished(runs))
        for ax, setting in zip(axes, settings, strict=True):
            lines = _lines(of_setting(shown, setting), runs)
            for series, style in styles.items():
                if series in lines:
                    group, label = lines[series]
                    _draw_line(ax, group, label, style)
            memory_axis(ax, shown)
            plain_log(ax, "y")
            ax.set_ylabel("exemplars (log scale)")
            ax.set_title(setting_label(setting, settings), fontsize="small")
        return finish_figure(figure, axes)


def _lines(shown: Sequence[Run], runs: Sequence[Run]) -> dict[Series, tuple[list[Run], str]]:
    """The runs and the label of every line of a panel, by series.

    Learners with the same numbers of exemplars share the line of the first one, since their lines
    would hide one another. Its label names no learner.

    Args:
        shown: runs of one setting.
        runs: all runs.
    """
    groups = {series: of_series(shown, series) for series in sorted(set(map(series_of, shown)))}
    lines = {}
    for series, group in groups.items():
        counts = {}
        for other in groups:
            if other._replace(learner=series.learner) == series:
                counts[other] = _exemplar_counts(groups[other])
        first = next(iter(counts))
        all_same = all(each == counts[first] for each in counts.values())
        if not all_same:
            lines[series] = group, series_label(series, runs)
        elif series == first:
            lines[series] = group, series_label(series, group)
    return lines


def _exemplar_counts(runs: Sequence[Run]) -> list[tuple[int, Replicate, int]]:
    """Budget, replicate and number of exemplars of every run, sorted."""
    counts = []
    for run in runs:
        counts.append((budget_of(run), replicate_of(run), int(run.get("exemplars", 0))))
    return sorted(counts)


def _draw_line(ax: Axes, runs: Sequence[Run], label: str, style: Style) -> None:
    """Draw the numbers of exemplars and, dotted, those that would fit where space was left.

    The dotted line begins at the last budget that was full, if there is one before.
    """
    budgets = sorted_budgets(runs)
    x = [budget / MB for budget in budgets]
    means = []
    stds = []
    capacities = []
    full = []
    for budget in budgets:
        group = of_budget(runs, budget)
        mean, std = mean_std([float(run.get("exemplars")) for run in group])
        means.append(mean)
        stds.append(std)
        fitting = [budget / float(run.get("bytes_per_exemplar")) for run in group]
        capacities.append(mean_std(fitting)[0])
        full.append(any(budget_binds(run) for run in group))
    draw_errorbars(ax, x, means, stds, label, style)
    if all(full):
        return
    first = max(full.index(False) - 1, 0)
    y = [means[i] if full[i] else capacities[i] for i in range(first, len(x))]
    ax.plot(
        x[first:],
        y,
        linestyle=(0, (2, 2)),
        linewidth=1,
        zorder=1.5,
        label=CAPACITY_LABEL,
        color=style.color,
        marker=style.marker,
        markerfacecolor="white",
        markersize=5,
    )


REPORT = ExemplarsAgainstMemory
