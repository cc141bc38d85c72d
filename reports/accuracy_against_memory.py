"""Final and average incremental accuracy against the memory budget, with the area under each."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from seit_cl.reporting.areas import ACCURACIES, areas
from seit_cl.reporting.axes import (
    MOST_ROWS,
    draw_bounds,
    draw_lines,
    finish_figure,
    from_zero,
    memory_axis,
    new_figure,
)
from seit_cl.reporting.base import Report
from seit_cl.reporting.grouping import (
    Series,
    at_all_budgets,
    finished,
    of_setting,
    settings_of,
    sorted_series,
    without_sweep_trials,
)
from seit_cl.reporting.labels import (
    figure_note,
    first_panels,
    join_parts,
    seeds_note,
    series_label,
    setting_label,
)
from seit_cl.reporting.styles import run_styles
from seit_cl.results.run_files import Run

AREA_NOTE = (
    "; AUC: area under final | average accuracy over memory in MB, divided by the span: "
    "a mean accuracy"
)


class AccuracyAgainstMemory(Report):
    """Two panels per setting: final and average incremental accuracy, a line per series."""

    title = "Accuracy against memory"
    source = "area: Zhou et al., ICLR 2023 (MEMO)"

    def make(self, runs: Sequence[Run]) -> Figure | None:
        """Draw the figure; None if no finished run has a memory."""
        shown = without_sweep_trials(at_all_budgets(runs))
        if not shown:
            return None
        done = finished(runs)
        settings, left_out = first_panels(settings_of(shown), MOST_ROWS, "summary")
        styles = run_styles(done)
        # the panels share one legend, so that it can hold the areas of a single setting only
        details = _area_details(shown) if len(settings) == 1 else {}
        labels = {
            series: series_label(series, runs, details.get(series, ""))
            for series in sorted_series(shown)
        }
        note = figure_note(settings, seeds_note(without_sweep_trials(done), done) + left_out)
        if details:
            note += AREA_NOTE
        figure = new_figure(self.title, note, (len(settings), 2), (4.2, 3.0))
        axes = figure.subplots(len(settings), 2, squeeze=False, sharex=True, sharey=True)
        for row, setting in zip(axes, settings, strict=True):
            group = of_setting(shown, setting)
            for ax, (name, metric) in zip(row, ACCURACIES, strict=True):
                draw_lines(ax, group, metric, styles, labels)
                draw_bounds(ax, setting, metric, runs)
                memory_axis(ax, shown)
                ax.set_title(join_parts(setting_label(setting, settings), name), fontsize="small")
            row[0].set_ylabel("accuracy (%)")
        from_zero(axes[0, 0])
        return finish_figure(figure, list(axes.flat))


def _area_details(runs: Sequence[Run]) -> dict[Series, str]:
    """The areas under both accuracies for the legend, of every series that has them."""
    texts: dict[Series, list[str]] = {}
    for _, metric in ACCURACIES:
        for series, area in areas(runs, metric).items():
            texts.setdefault(series, []).append(f"{area:.1f}")
    return {series: f"AUC {' | '.join(numbers)}" for series, numbers in texts.items()}


REPORT = AccuracyAgainstMemory
