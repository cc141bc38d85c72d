"""Final and average incremental accuracy against the memory budget, the comparison at equal bytes, with the area under each.

The area over memory is that of MEMO (Zhou et al., ICLR 2023), on a linear axis in MB; divided by the span it is a mean accuracy.
"""

from __future__ import annotations

from matplotlib.figure import Figure

from seit_cl.reporting import base
from seit_cl.results.metrics import (
    area_under_curve,
    average_incremental_accuracy,
    final_accuracy,
)
from seit_cl.results.run_files import Run

TITLE = "Accuracy against memory"
PANELS: tuple[tuple[str, base.Metric], ...] = (
    ("final accuracy", final_accuracy),
    ("average incremental accuracy", average_incremental_accuracy),
)
AREA = "; AUC: area under final | average accuracy over memory in MB, divided by the span: a mean accuracy"


def make(runs: list[Run]) -> Figure | None:
    """Two panels per setting; None when no finished run has a memory."""
    shown = base.past_sweeps(base.at_all_budgets(runs))
    if not shown:
        return None
    rows, done = base.rows_of(shown), base.finished(runs)
    looks, names = base.styles(done), _names(shown, runs)
    note = base.note(rows, base.seeds_note(base.past_sweeps(done), done))
    note += AREA if any("AUC" in name for name in names.values()) else ""
    figure = base.new_figure(TITLE, note, (len(rows), 2), (4.2, 3.0))
    axes = figure.subplots(len(rows), 2, squeeze=False, sharex=True, sharey=True)
    for i, row in enumerate(rows):
        group = [run for run in shown if base.setting(run) == row]
        for ax, (name, metric) in zip(axes[i], PANELS, strict=True):
            base.draw_lines(ax, group, metric, looks, names)
            base.draw_bounds(ax, row, metric, runs)
            base.memory_axis(ax, [base.budget(run) for run in shown])
            ax.set_title(
                ", ".join(filter(None, (base.row_label(row, rows), name))), fontsize="small"
            )
        axes[i, 0].set_ylabel("accuracy (%)")
    axes[0, 0].set_ylim(bottom=0)
    return base.finish(figure, list(axes.flat))


def _names(shown: list[Run], runs: list[Run]) -> dict[base.Series, str]:
    """Labels, of one setting with the areas; those of several are in the table of areas, for lines share their legend."""
    found = [areas(shown, metric) for _, metric in PANELS] if len(base.rows_of(shown)) == 1 else []
    names = {}
    for key in {base.series(run) for run in shown}:
        mine = [f"{area[key]:.1f}" for area in found if key in area]
        names[key] = base.label(key, runs, f"AUC {' | '.join(mine)}" if mine else "")
    return names


def areas(group: list[Run], metric: base.Metric, log: bool = False) -> dict[base.Series, float]:
    """Area under the mean of a metric against the budget, in percent, by series; of those that have the smallest and the largest
    budget of the group, which must differ: over another span, a mean accuracy is another number."""
    points: dict[base.Series, dict[int, list[float]]] = {}
    for run in group:
        points.setdefault(base.series(run), {}).setdefault(base.budget(run), []).append(
            100 * metric(run.accuracy)
        )
    span = {min(map(base.budget, group), default=0), max(map(base.budget, group), default=0)}
    return {
        key: area_under_curve(
            sorted(sizes), [base.mean_std(sizes[size])[0] for size in sorted(sizes)], log
        )
        for key, sizes in points.items()
        if len(span) == 2 and span <= sizes.keys()
    }


REPORT = base.Report("accuracy_against_memory", TITLE, make)
