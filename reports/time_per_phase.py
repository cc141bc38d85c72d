"""The time of a run by phase, and the images that each phase processes in a second."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from seit_cl.reporting.axes import finish_figure, new_figure, plain_log
from seit_cl.reporting.base import Report
from seit_cl.reporting.grouping import (
    Series,
    Setting,
    budget_of,
    finished,
    mean_std,
    rank_in_order,
    series_of,
    setting_of,
    without_sweep_trials,
)
from seit_cl.reporting.labels import (
    figure_note,
    first_panels,
    join_parts,
    series_label,
    setting_label,
)
from seit_cl.reporting.phases import PHASES, phases
from seit_cl.reporting.presets import preset
from seit_cl.results.run_files import Run

NOTE = (
    "means over budgets and seeds, lines of one standard deviation; test covers all classes seen, "
    "after every experience; tokenizing is done once for all runs and is no part of a run's time"
)
CPU_NOTE = "; upper bars: by the clock, lower ones: of the processor, all threads together"
NO_CPU_NOTE = "; runs of earlier versions recorded no processor time"
OLD_NOTE = "; in results without recorded phases, train includes remember"
ROW_HEIGHT = 0.34  # inches
MOST_BARS = 60  # rows of bars
SPREAD = "#D55E00"  # colour of standard deviations, which are seen on all greys
MOST_SPREAD = 10  # an interval reaches to this part of its middle at most, for the log scale
RUN_PHASES = PHASES[1:]  # without tokenizing, which is done once for all runs


class PhaseStyle(NamedTuple):
    """The bar and the marker of a phase; colours stay free for formats.

    Args:
        grey: of the bar and the marker.
        hatch: of the bar.
        marker: of the throughput.
        label: of both.
    """

    grey: str
    hatch: str
    marker: str
    label: str


STYLES = {
    "tokenize": PhaseStyle("#f2f2f2", "", "P", "tokenize"),
    "train": PhaseStyle("#4d4d4d", "", "o", "train"),
    "remember": PhaseStyle("#b3b3b3", "////", "s", "remember (bars: hatched)"),
    "test": PhaseStyle("#e0e0e0", "....", "^", "test (bars: dotted)"),
}


class TimePerPhase(Report):
    """Bars of seconds and markers of throughput, a row per setting and series."""

    title = "Time and throughput of each phase"

    def make(self, runs: Sequence[Run]) -> Figure | None:
        """Draw the figure; None if no run recorded a time."""
        shown = [run for run in without_sweep_trials(finished(runs)) if phases(run)]
        groups = _grouped(shown)
        if not groups:
            return None
        places, left_out = first_panels(list(groups)[::-1], MOST_BARS)
        groups = {place: groups[place] for place in places[::-1]}
        settings = [setting for setting, _ in groups]
        panel_size = (4.6, 0.9 + ROW_HEIGHT * len(groups))
        note = figure_note(settings, _note(shown) + left_out)
        figure = new_figure(self.title, note, (1, 2), panel_size)
        left, right = figure.subplots(1, 2, sharey=True)
        labels = []
        for setting, series in groups:
            name = series_label(series._replace(format=series.format or "no memory"), runs)
            labels.append(join_parts(setting_label(setting, settings), name))
        left.set_yticks(range(len(groups)), labels)
        left.set_ylim(-0.6, len(groups) - 0.4)
        members = list(groups.values())
        has_cpu = any(not math.isnan(_cpu_seconds(run)) for run in shown)
        _draw_seconds(left, members, _wall_seconds, 0.2 if has_cpu else 0.0, has_cpu)
        if has_cpu:
            _draw_seconds(left, members, _cpu_seconds, -0.2, has_cpu)
        left.set_xlim(left=0)
        left.set_xlabel("seconds of a run")
        _draw_throughput(right, list(groups.values()))
        return finish_figure(figure, [left, right])


def _grouped(runs: Sequence[Run]) -> dict[tuple[Setting, Series], list[Run]]:
    """The runs by setting and series, the last first; without a memory, series have no format."""
    groups: dict[tuple[Setting, Series], list[Run]] = {}
    for run in runs:
        series = series_of(run)
        if budget_of(run) == 0:
            series = series._replace(format="")
        groups.setdefault((setting_of(run), series), []).append(run)
    rank = rank_in_order({series for _, series in groups})
    order = sorted(groups, key=lambda place: (place[0], rank[place[1]]), reverse=True)
    return {place: groups[place] for place in order}


def _note(runs: Sequence[Run]) -> str:
    """The note under the title: devices, and what the numbers cover."""
    devices = {str(run.environment.get("device") or run.get("device")) for run in runs}
    note = f"{', '.join(sorted(devices))}; {NOTE}"
    if any("phases" not in run.metadata for run in runs):
        note += OLD_NOTE
    recorded = [not math.isnan(_cpu_seconds(run)) for run in runs]
    if any(recorded):
        note += CPU_NOTE
    if not all(recorded):
        note += NO_CPU_NOTE
    return note


def _wall_seconds(run: Run, name: str = "") -> float:
    """Seconds of a phase by the clock, or of all phases of a run; 0 where none was recorded."""
    names = [name] if name else RUN_PHASES
    recorded = phases(run)
    return sum(recorded[each].seconds for each in names if each in recorded)


def _cpu_seconds(run: Run, name: str = "") -> float:
    """Processor time as `_wall_seconds`; nan where a phase has none."""
    names = [name] if name else RUN_PHASES
    recorded = phases(run)
    return sum(recorded[each].cpu_seconds for each in names if each in recorded)


def mean_phase(runs: Sequence[Run], name: str) -> tuple[float, float]:
    """Mean seconds of a phase, and its images a second over all runs.

    Returns:
        (0, nan) if no run recorded it.
    """
    recorded = [phases(run)[name] for run in runs if name in phases(run)]
    seconds = sum(phase.seconds for phase in recorded)
    if not seconds:
        return 0.0, math.nan
    images = sum(phase.images for phase in recorded)
    return seconds / len(recorded), images / seconds


def _draw_seconds(
    ax: Axes,
    groups: Sequence[Sequence[Run]],
    seconds_of: Callable[..., float],
    shift: float,
    two_bars: bool,
) -> None:
    """Draw the seconds of a run as stacked bars, a bar per group, with the spread of their ends.

    Args:
        ax: the panel.
        groups: the runs of each row.
        seconds_of: seconds of a run, or of its phase of a name.
        shift: of the bars from the middle of their rows.
        two_bars: whether a row has two bars, which are lower then.
    """
    rows = [y + shift for y in range(len(groups))]
    start = [0.0] * len(groups)
    for name in RUN_PHASES:
        seconds = []
        for group in groups:
            mean, _ = mean_std([seconds_of(run, name) for run in group])
            seconds.append(0.0 if math.isnan(mean) else mean)
        style = STYLES[name]
        if any(seconds):
            ax.barh(
                rows,
                seconds,
                0.36 if two_bars else 0.7,
                left=start,
                color=style.grey,
                hatch=style.hatch,
                edgecolor="#333333",
                linewidth=0.5,
            )
        start = [before + each for before, each in zip(start, seconds, strict=True)]
    for y, group in zip(rows, groups, strict=True):
        mean, spread = mean_std([seconds_of(run) for run in group])
        if spread > 0:
            ax.errorbar(mean, y, xerr=spread, color=SPREAD, capsize=2, linestyle="none")


def _draw_throughput(ax: Axes, groups: Sequence[Sequence[Run]]) -> None:
    """Draw a marker per phase and group; the legend of the markers serves the bars too."""
    all_speeds: list[float] = []
    for name in PHASES:
        speeds = [mean_phase(group, name)[1] for group in groups]
        recorded = [speed for speed in speeds if not math.isnan(speed)]
        all_speeds += recorded
        style = STYLES[name]
        for y, group in enumerate(groups):
            low, high = _throughput_range(group, name)
            if low < high:
                ax.plot([low, high], [y, y], color=SPREAD, linewidth=0.8)
        if recorded:
            ax.plot(
                speeds,
                range(len(groups)),
                linestyle="none",
                marker=style.marker,
                markersize=1.3 * preset().marker,
                color=style.grey,
                markeredgecolor="#333333",
                label=style.label,
            )
    wide = max(all_speeds) > 30 * min(all_speeds)
    plain_log(ax, "x", (1,) if wide else (1, 2, 5))
    ax.set_xlabel("images a second (log scale)")


def _throughput_range(runs: Sequence[Run], name: str) -> tuple[float, float]:
    """One standard deviation of the images a second to either side of those of all runs.

    Returns:
        (nan, nan) where fewer than two runs recorded the phase.
    """
    recorded = [phases(run)[name] for run in runs if name in phases(run)]
    speeds = [phase.images / phase.seconds for phase in recorded if phase.seconds]
    if len(speeds) < 2:
        return math.nan, math.nan
    middle = mean_phase(runs, name)[1]
    _, spread = mean_std(speeds)
    return max(middle - spread, middle / MOST_SPREAD), middle + spread


REPORT = TimePerPhase
