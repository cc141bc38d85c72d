"""Mean training loss of every epoch, over all experiences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from seit_cl.reporting.axes import finish_figure, from_zero, new_figure
from seit_cl.reporting.bands import draw_mean
from seit_cl.reporting.base import Report
from seit_cl.reporting.grouping import (
    Series,
    Setting,
    budget_of,
    finished,
    setting_of,
    settings_of,
    without_sweep_trials,
)
from seit_cl.reporting.labels import (
    figure_note,
    join_parts,
    megabytes,
    seeds_note,
    series_label,
    setting_label,
)
from seit_cl.reporting.places import line_of
from seit_cl.reporting.styles import bound_styles, run_styles
from seit_cl.results.run_files import Run

MOST_PANELS = 40
MOST_COLUMNS = 3
MOST_LINES = 20  # experiences whose beginnings are marked
NOTE = "loss as the strategy minimises it, of augmented samples"


class LossCurves(Report):
    """A panel per setting and budget, with a line per series or strategy without a memory."""

    title = "Training loss over epochs"

    def make(self, runs: Sequence[Run]) -> Figure | None:
        """Draw the figure; None if no finished run recorded its losses."""
        shown = [run for run in without_sweep_trials(finished(runs)) if not run.losses.empty]
        if not shown:
            return None
        settings = settings_of(shown)
        groups: dict[tuple[Setting, int], list[Run]] = {}
        for run in sorted(shown, key=lambda run: (setting_of(run), budget_of(run))):
            groups.setdefault((setting_of(run), budget_of(run)), []).append(run)
        panels = list(groups.items())[:MOST_PANELS]
        more = f"; the first {len(panels)} of {len(groups)}" if len(panels) < len(groups) else ""
        note = figure_note(settings, f"{NOTE}; {seeds_note(shown)}{more}")
        columns = min(len(panels), MOST_COLUMNS)
        rows = math.ceil(len(panels) / columns)
        figure = new_figure(self.title, note, (rows, columns), (3.2, 2.5))
        axes = list(figure.subplots(rows, columns, squeeze=False).flat)
        styles = _styles(shown, runs)
        for ax, ((setting, budget), group) in zip(axes, panels, strict=False):
            _draw_lines(ax, group, runs, styles)
            _mark_experiences(ax, group)
            from_zero(ax)
            name = megabytes(budget) if budget else "no memory"
            ax.set_title(join_parts(setting_label(setting, settings), name), fontsize="small")
            ax.set_xlabel("epochs", fontsize="x-small")
            ax.set_ylabel("training loss", fontsize="x-small")
            ax.tick_params(labelsize="x-small")
            ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        for unused in axes[len(panels) :]:
            unused.set_axis_off()
        return finish_figure(figure, axes[: len(panels)])


def _styles(shown: Sequence[Run], runs: Sequence[Run]) -> dict[Series, dict[str, Any]]:
    """The styles of all lines, without markers: a line has hundreds of points."""
    styles = {series: style._asdict() for series, style in run_styles(finished(runs)).items()}
    bounds = sorted({line_of(run) for run in shown} - styles.keys())
    styles |= {bound: dict(style) for bound, style in bound_styles(bounds).items()}
    for style in styles.values():
        style.pop("marker", None)
    return styles


def _draw_lines(
    ax: Axes, group: Sequence[Run], runs: Sequence[Run], styles: dict[Series, dict[str, Any]]
) -> None:
    """Draw the mean of every series, with a band of one standard deviation."""
    lines: dict[Series, list[Run]] = {}
    for run in group:
        lines.setdefault(line_of(run), []).append(run)
    for series, members in sorted(lines.items()):
        curves = pd.DataFrame({i: run.losses["loss"] for i, run in enumerate(members)})
        curves.index += 1  # epochs are counted from 1 on
        draw_mean(ax, curves, series_label(series, runs), styles[series])


def _mark_experiences(ax: Axes, group: Sequence[Run]) -> None:
    """Draw lines where an experience begins, if all runs have the same few."""
    borders = set()
    for run in group:
        borders.add(tuple(np.flatnonzero(run.losses["experience"].diff() > 0) + 0.5))
    if len(borders) == 1:
        (places,) = borders
        for place in places if len(places) < MOST_LINES else ():
            ax.axvline(place, color="#999999", linewidth=0.6, linestyle=(0, (2, 2)))


REPORT = LossCurves
