"""Strategies ranked at each budget: which one a memory of that size serves best, in each format."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from seit_cl.reporting import base
from seit_cl.reports.best_against_memory import winners
from seit_cl.results.metrics import final_accuracy
from seit_cl.results.run_files import Run

TITLE = "Strategies ranked by final accuracy"
NOTE = "diamonds: strategies without a memory, lines at the lowest and the highest"
Points = dict[str, dict[base.Series, tuple[float, float]]]


def make(runs: list[Run]) -> Figure | None:
    """A panel per dataset, scenario and budget, a row per strategy; None for less than two strategies with a memory."""
    shown = winners(base.past_sweeps(base.at_all_budgets(runs)))
    if len({base.setting(run).strategy for run in shown}) < 2:
        return None
    panels = sorted({(*base.setting(run)[:2], base.budget(run)) for run in shown})
    columns = min(len(panels), 2 if len(panels) in (2, 4) else 3)
    deepest = max(len(points_of(shown, runs, panel)) for panel in panels)
    settings = [base.Setting(dataset, scenario, "") for dataset, scenario, _ in panels]
    note = base.note(settings, f"{base.seeds_note(shown)}; {NOTE}")
    size = (4.2, 0.7 + 0.24 * deepest)
    figure = base.new_figure(TITLE, note, (-(-len(panels) // columns), columns), size)
    axes = list(
        figure.subplots(-(-len(panels) // columns), columns, squeeze=False, sharex=True).flat
    )
    looks = base.styles_of(base.in_order({base.series(run) for run in shown}), runs)
    for ax, panel, setting in zip(axes, panels, settings, strict=False):
        _rank(ax, points_of(shown, runs, panel), looks, runs)
        ax.set_title(
            ", ".join(filter(None, (base.row_label(setting, settings), base.megabytes(panel[2]))))
        )
        ax.set_xlabel("final accuracy (%)")
    for ax in axes[len(panels) :]:
        ax.set_axis_off()
    return base.finish(figure, axes[: len(panels)])


def points_of(shown: list[Run], runs: list[Run], panel: tuple[str, str, int]) -> Points:
    """Mean and standard deviation of final accuracy in percent by strategy and series, lowest strategy first; of a strategy
    without a memory, the series has no format."""
    ends: dict[str, dict[base.Series, list[float]]] = {}
    for run in [*shown, *(run for run in base.finished(runs) if base.budget(run) == 0)]:
        row, size = base.setting(run), base.budget(run)
        if row[:2] == panel[:2] and size in (0, panel[2]):
            key = base.series(run) if size else base.series(run)._replace(format="")
            ends.setdefault(row.strategy, {}).setdefault(key, []).append(
                100 * final_accuracy(run.accuracy)
            )
    points = {
        name: {key: base.mean_std(values) for key, values in found.items()}
        for name, found in ends.items()
    }
    return dict(sorted(points.items(), key=lambda item: max(mean for mean, _ in item[1].values())))


def _rank(ax: Axes, points: Points, looks: dict[base.Series, base.Style], runs: list[Run]) -> None:
    """A row per strategy, a marker per series, apart by a little so that bars do not hide each other."""
    ax.set_yticks(range(len(points)), list(points))
    ax.set_ylim(-0.6, len(points) - 0.4)
    for i, (key, style) in enumerate(looks.items()):
        found = [(y, *line[key]) for y, line in enumerate(points.values()) if key in line]
        if found:
            y, means, stds = zip(*found, strict=True)
            apart = 0.5 * (0.5 - (i + 0.5) / len(looks))
            ax.errorbar(
                means,
                [at + apart for at in y],
                xerr=stds,
                label=base.label(key, runs),
                capsize=0.5 * base.look().marker,
                color=style.color,
                marker=style.marker,
                linestyle="none",
            )
    free = [
        (y, *line[key]) for y, line in enumerate(points.values()) for key in line if not key.format
    ]
    if free:
        y, means, stds = zip(*free, strict=True)
        ax.errorbar(
            means,
            y,
            xerr=stds,
            label="without memory",
            color="#222222",
            marker="D",
            markerfacecolor="white",
            linestyle="none",
            capsize=0.5 * base.look().marker,
        )
        for bound in {min(means), max(means)}:
            ax.axvline(
                bound,
                color="#999999",
                linestyle=(0, (5, 3)),
                linewidth=0.7 * base.look().line,
                zorder=0.5,
            )


REPORT = base.Report("strategies", TITLE, make)
