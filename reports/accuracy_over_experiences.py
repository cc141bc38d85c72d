"""Accuracy on the classes seen so far, after each experience: a panel per budget, a line per format."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from seit_cl.reporting import base
from seit_cl.results.run_files import Run

TITLE = "Accuracy over experiences"


def make(runs: list[Run]) -> Figure | None:
    """One panel per setting and budget; None when no finished run was tested at two steps or more."""
    done = base.finished(runs)
    if not any(len(base.curve([run])[0]) > 1 for run in done):
        return None
    shown = base.past_sweeps(base.at_all_budgets(done)) or done
    rows = base.rows_of(shown) if base.with_memory(done) else base.rows_of(shown)[:1]
    budgets = sorted({base.budget(run) for run in shown})
    note = base.note(rows, base.seeds_note(base.past_sweeps(done), done))
    figure = base.new_figure(TITLE, note, (len(rows), len(budgets)), (3.3, 2.8))
    axes = figure.subplots(len(rows), len(budgets), squeeze=False, sharex=True, sharey=True)
    for i, row in enumerate(rows):
        for j, size in enumerate(budgets):
            ax = axes[i, j]
            panel = [run for run in shown if base.setting(run) == row and base.budget(run) == size]
            _lines(ax, [run for run in panel if size], done)
            _bounds(ax, row, done)
            name = base.megabytes(size) if size else "no memory"
            ax.set_title(
                f"{base.row_label(row, rows)}, {name}" if len(rows) > 1 else name, fontsize="small"
            )
            ax.xaxis.set_major_locator(MaxNLocator(integer=True))
            if i == len(rows) - 1:
                ax.set_xlabel("experiences learnt")
        axes[i, 0].set_ylabel("accuracy on classes seen (%)")
    axes[0, 0].set_ylim(bottom=0)
    return base.finish(figure, list(axes.flat))


def _lines(ax: Axes, panel: list[Run], runs: list[Run]) -> None:
    """A line with its band for every series of the panel."""
    for key, style in base.styles(runs).items():
        group = [run for run in panel if base.series(run) == key]
        if group:
            x, mean, std = base.curve(group)
            ax.plot(
                x,
                mean,
                label=base.label(key, runs),
                markersize=0.9 * base.look().marker,
                **style._asdict(),
            )
            ax.fill_between(x, mean - std, mean + std, color=style.color, alpha=0.18, linewidth=0)


def _bounds(ax: Axes, row: base.Setting, runs: list[Run]) -> None:
    """Runs without memory, dashed; one tested once only (joint) is a level line."""
    bounds = base.bounds(runs, row)
    looks = base.bound_styles(bounds)
    for key, group in bounds.items():
        x, mean, std = base.curve(group)
        if len(x) > 1:
            ax.plot(x, mean, label=base.label(key, runs), **looks[key])
            ax.fill_between(
                x, mean - std, mean + std, color=looks[key]["color"], alpha=0.1, linewidth=0
            )
        elif len(x) == 1:
            ax.axhline(mean[0], label=base.label(key, runs, "all at once"), **looks[key])


REPORT = base.Report("accuracy_over_experiences", TITLE, make)
