"""Final and average incremental accuracy against the memory budget: the comparison at equal bytes."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from seit_cl.metrics import average_incremental_accuracy, final_accuracy
from seit_cl.reports import base
from seit_cl.results import Run

TITLE = "Accuracy against memory"
PANELS: tuple[tuple[str, base.Metric], ...] = (
    ("final accuracy", final_accuracy),
    ("average incremental accuracy", average_incremental_accuracy),
)


def make(runs: list[Run]) -> Figure | None:
    """Two panels per setting; None when no finished run has a memory."""
    shown = base.past_sweeps(base.at_all_budgets(runs))
    if not shown:
        return None
    rows, done = base.rows_of(shown), base.finished(runs)
    figure = base.new_figure(TITLE, base.note(rows, base.seeds_note(base.past_sweeps(done), done)), (len(rows), 2), (4.2, 3.0))
    axes = figure.subplots(len(rows), 2, squeeze=False, sharex=True, sharey=True)
    for i, row in enumerate(rows):
        group = [run for run in shown if base.setting(run) == row]
        for ax, (name, metric) in zip(axes[i], PANELS, strict=True):
            _lines(ax, group, metric, runs)
            base.draw_bounds(ax, row, metric, runs)
            base.memory_axis(ax, [base.budget(run) for run in shown])
            ax.set_title(", ".join(filter(None, (base.row_label(row, rows), name))), fontsize=9)
        axes[i, 0].set_ylabel("accuracy (%)")
    axes[0, 0].set_ylim(bottom=0)
    return base.finish(figure, list(axes.flat))


def _lines(ax: Axes, group: list[Run], metric: base.Metric, runs: list[Run]) -> None:
    """Mean over seeds at each budget, the standard deviation as error bars."""
    for key, style in base.styles(base.finished(runs)).items():
        mine = [run for run in group if base.series(run) == key]
        sizes = sorted({base.budget(run) for run in mine})
        stats = [base.mean_std([100 * metric(r.accuracy) for r in mine if base.budget(r) == size]) for size in sizes]
        if stats:
            x, mean, std = [s / base.MB for s in sizes], [m for m, _ in stats], [s for _, s in stats]
            ax.errorbar(x, mean, yerr=std, label=base.label(key, runs), capsize=3, markersize=5, **style._asdict())


REPORT = base.Report("accuracy_against_memory", TITLE, make)
