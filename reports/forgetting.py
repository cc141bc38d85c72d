"""Forgetting against the memory budget: how far the earlier experiences fell from their best."""

from __future__ import annotations

import math

from matplotlib.figure import Figure

from seit_cl.metrics import forgetting
from seit_cl.reports import base
from seit_cl.results import Run

TITLE = "Forgetting against memory"


def make(runs: list[Run]) -> Figure | None:
    """One panel per setting; None where no finished run with a memory could forget."""
    shown = base.past_sweeps(base.at_all_budgets(runs))
    shown = [run for run in shown if not math.isnan(forgetting(run.accuracy))]
    if not shown:
        return None
    rows, done = base.rows_of(shown), base.finished(runs)
    columns = 2 if len(rows) > 3 else 1
    note = base.note(rows, base.seeds_note(base.past_sweeps(done), done) + "; lower is better")
    figure = base.new_figure(TITLE, note, (-(-len(rows) // columns), columns), (5.4 / columns**0.5, 3.2))
    axes = list(figure.subplots(-(-len(rows) // columns), columns, squeeze=False, sharex=True, sharey=True).flat)
    looks = base.styles(done)
    names = {key: base.label(key, runs) for key in looks}
    for ax, row in zip(axes, rows, strict=False):
        base.draw_lines(ax, [run for run in shown if base.setting(run) == row], forgetting, looks, names)
        base.draw_bounds(ax, row, forgetting, runs)
        base.memory_axis(ax, [base.budget(run) for run in shown])
        ax.set_title(base.row_label(row, rows))
    for ax in axes[::columns]:
        ax.set_ylabel("forgetting (points)")
    for ax in axes[len(rows) :]:
        ax.set_axis_off()
    return base.finish(figure, axes[: len(rows)])


REPORT = base.Report("forgetting", TITLE, make)
