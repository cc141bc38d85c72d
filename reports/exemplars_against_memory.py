"""How many exemplars a budget holds in each format, and how many would fit where the stream did not fill it."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from seit_cl.reporting.axes import finish_figure, memory_axis, setting_panels
from seit_cl.reporting.base import Report
from seit_cl.reporting.grouping import (
    MB,
    Series,
    budget_binds,
    budget_of,
    finished,
    mean_std,
    series_of,
    setting_of,
    settings_of,
    with_memory,
)
from seit_cl.reporting.labels import figure_note, seeds_note, series_label, setting_label
from seit_cl.reporting.presets import preset
from seit_cl.reporting.styles import Style, run_styles
from seit_cl.results.run_files import Run

TITLE = "Exemplars against memory"
ROOM = "open, dotted: would fit, had the stream as many"


def make(runs: list[Run]) -> Figure | None:
    """One panel per setting; None when no finished run kept an exemplar."""
    shown = [run for run in with_memory(runs) if float(run.get("exemplars", 0)) > 0]
    if not shown:
        return None
    rows = settings_of(shown)
    figure, axes = setting_panels(
        TITLE, figure_note(rows, seeds_note(shown)), len(rows), (5.6, 3.4), sharey=False
    )
    for ax, row in zip(axes, rows, strict=True):
        styles = run_styles(finished(runs))
        lines = _groups([run for run in shown if setting_of(run) == row], runs)
        for key in (key for key in styles if key in lines):
            _line(ax, *lines[key], styles[key])
        memory_axis(ax, shown)
        ax.set_yscale("log")
        ax.yaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")
        ax.set_ylabel("exemplars (log scale)")
        ax.set_title(setting_label(row, rows), fontsize="small")
    return finish_figure(figure, axes)


def _groups(shown: list[Run], runs: list[Run]) -> dict[Series, tuple[list[Run], str]]:
    """Runs and name of every line; learners with the same exemplars share one, since their lines would hide each other."""
    groups: dict[Series, list[Run]] = {}
    for run in shown:
        groups.setdefault(series_of(run), []).append(run)
    lines = {}
    for key, group in sorted(groups.items()):
        twins = sorted(other for other in groups if other._replace(learner=key.learner) == key)
        shared = all(_kept(groups[other]) == _kept(group) for other in twins)
        if not shared or key == twins[0]:
            lines[key] = group, series_label(key, group if shared else runs)
    return lines


def _kept(group: list[Run]) -> list[tuple[int, int, int]]:
    """Budget, seed and exemplars of every run."""
    return sorted(
        (budget_of(run), int(run.get("seed", 0)), int(run.get("exemplars", 0))) for run in group
    )


def _line(ax: Axes, group: list[Run], name: str, style: Style) -> None:
    """Exemplars kept; dashed with open markers, the capacity where the budget did not bind."""
    sizes = sorted({budget_of(run) for run in group})
    kept, room, idle = [], [], []
    for size in sizes:
        mine = [run for run in group if budget_of(run) == size]
        kept.append(mean_std([float(run.get("exemplars")) for run in mine]))
        room.append(mean_std([size / float(run.get("bytes_per_exemplar")) for run in mine])[0])
        idle.append(not any(budget_binds(run) for run in mine))
    x = [size / MB for size in sizes]
    std = [s for _, s in kept]
    mean = [m for m, _ in kept]
    ax.errorbar(x, mean, yerr=std, label=name, capsize=0.6 * preset().marker, **style._asdict())
    if any(idle):
        first = max(idle.index(True) - 1, 0)
        y = [room[k] if idle[k] else mean[k] for k in range(first, len(x))]
        look: dict[str, Any] = {
            "color": style.color,
            "marker": style.marker,
            "markerfacecolor": "white",
            "markersize": 5,
        }
        ax.plot(x[first:], y, linestyle=(0, (2, 2)), linewidth=1, zorder=1.5, label=ROOM, **look)


REPORT = Report("exemplars_against_memory", TITLE, make)
