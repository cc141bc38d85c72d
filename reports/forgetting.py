"""Forgetting against the memory budget: how far the earlier experiences fell from their best."""

from __future__ import annotations

import math

from matplotlib.figure import Figure

from seit_cl.reporting import base
from seit_cl.results.metrics import forgetting
from seit_cl.results.run_files import Run

TITLE = "Forgetting against memory"


def make(runs: list[Run]) -> Figure | None:
    """One panel per setting; None where no finished run with a memory could forget."""
    shown = base.past_sweeps(base.at_all_budgets(runs))
    shown = [run for run in shown if not math.isnan(forgetting(run.accuracy))]
    if not shown:
        return None
    rows, done = base.rows_of(shown), base.finished(runs)
    note = base.note(rows, base.seeds_note(base.past_sweeps(done), done) + "; lower is better")
    figure, axes = base.setting_panels(TITLE, note, len(rows), (5.4, 3.2))
    looks = base.styles(done)
    names = {key: base.label(key, runs) for key in looks}
    for ax, row in zip(axes, rows, strict=True):
        base.draw_lines(
            ax, [run for run in shown if base.setting(run) == row], forgetting, looks, names
        )
        base.draw_bounds(ax, row, forgetting, runs)
        base.memory_axis(ax, [base.budget(run) for run in shown])
        ax.set_title(base.row_label(row, rows))
        ax.set_ylabel("forgetting (points)")
    axes[0].set_ylim(bottom=0)
    return base.finish(figure, axes)


REPORT = base.Report("forgetting", TITLE, make)
