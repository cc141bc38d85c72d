"""Where the time of a run goes, and how many images a second each phase takes."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from seit_cl.reporting.axes import finish_figure, new_figure, plain_log
from seit_cl.reporting.base import Report
from seit_cl.reporting.grouping import (
    Series,
    Setting,
    budget_of,
    finished,
    in_order,
    series_of,
    setting_of,
    without_sweep_trials,
)
from seit_cl.reporting.labels import figure_note, series_label, setting_label
from seit_cl.reporting.phases import PHASES, phases
from seit_cl.reporting.presets import preset
from seit_cl.results.run_files import Run

TITLE = "Time and throughput of each phase"
NOTE = (
    "means over budgets and seeds; test covers all classes seen, after every experience; tokenizing is done once for all runs "
    "and is no part of a run's time"
)
OLD = "; runs of before phases were noted: train includes remembering"
LOOKS = {  # greys of different lightness and hatches: colours are formats
    "tokenize": ("#f2f2f2", "", "P"),
    "train": ("#4d4d4d", "", "o"),
    "remember": ("#b3b3b3", "////", "s"),
    "test": ("#e0e0e0", "....", "^"),
}
BARS = {"////": " (bars: hatched)", "....": " (bars: dotted)"}
Lines = dict[tuple[Setting, Series], list[Run]]


def make(runs: list[Run]) -> Figure | None:
    """Seconds of a run by phase and images a second, a bar per setting, format and learner; None where no run noted a time."""
    shown = [run for run in without_sweep_trials(finished(runs)) if phases(run)]
    lines: Lines = {}
    for run in shown:
        key = series_of(run) if budget_of(run) else series_of(run)._replace(format="")
        lines.setdefault((setting_of(run), key), []).append(run)
    if not lines:
        return None
    order = sorted(
        lines,
        key=lambda line: (line[0], in_order({key for _, key in lines}).index(line[1])),
        reverse=True,
    )
    rows = [row for row, _ in order]
    devices = ", ".join(
        sorted({str(run.environment.get("device") or run.get("device")) for run in shown})
    )
    old = OLD if any("phases" not in run.metadata for run in shown) else ""
    figure = new_figure(
        TITLE, figure_note(rows, f"{devices}; {NOTE}{old}"), (1, 2), (4.6, 0.9 + 0.24 * len(order))
    )
    left, right = figure.subplots(1, 2, sharey=True)
    names = [_name(row, key, rows, runs) for row, key in order]
    left.set_yticks(range(len(order)), names)
    left.set_ylim(-0.6, len(order) - 0.4)
    _seconds(left, [lines[line] for line in order])
    _throughput(right, [lines[line] for line in order])
    finish_figure(figure, [left, right])
    return figure


def _name(row: Setting, key: Series, rows: list[Setting], runs: list[Run]) -> str:
    line = series_label(key._replace(format=key.format or "no memory"), runs)
    return ", ".join(filter(None, (setting_label(row, rows), line)))


def mean_phase(group: list[Run], name: str) -> tuple[float, float]:
    """Mean seconds of a phase, and images a second over all its runs; (0, nan) where it was not noted."""
    found = [phase for run in group if (phase := phases(run).get(name))]
    seconds = sum(phase.seconds for phase in found)
    if not seconds:
        return 0.0, float("nan")
    return seconds / len(found), sum(phase.images for phase in found) / seconds


def _seconds(ax: Axes, groups: list[list[Run]]) -> None:
    """Stacked bars."""
    start = [0.0] * len(groups)
    for name in PHASES[1:]:
        seconds = [mean_phase(group, name)[0] for group in groups]
        if any(seconds):
            colour, hatch, _ = LOOKS[name]
            ax.barh(
                range(len(groups)),
                seconds,
                0.7,
                left=start,
                color=colour,
                hatch=hatch,
                edgecolor="#333333",
                linewidth=0.5,
            )
        start = [a + b for a, b in zip(start, seconds, strict=True)]
    ax.set_xlabel("seconds of a run")


def _throughput(ax: Axes, groups: list[list[Run]]) -> None:
    """A marker per phase; they are the legend of the bars too."""
    for name in PHASES:
        speeds = [mean_phase(group, name)[1] for group in groups]
        if any(speed == speed for speed in speeds):
            colour, hatch, marker = LOOKS[name]
            ax.plot(
                speeds,
                range(len(groups)),
                linestyle="none",
                marker=marker,
                markersize=1.3 * preset().marker,
                color=colour,
                markeredgecolor="#333333",
                label=name + BARS.get(hatch, ""),
            )
    known = [
        speed
        for name in PHASES
        for group in groups
        if (speed := mean_phase(group, name)[1]) == speed
    ]
    plain_log(ax, "x", (1,) if max(known) > 30 * min(known) else (1, 2, 5))
    ax.set_xlabel("images a second (log scale)")


REPORT = Report("time_per_phase", TITLE, make)
