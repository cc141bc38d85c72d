"""Figures with a panel for each single run: the choice of runs, their places and their titles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import zip_longest
from typing import Any

from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colorbar import Colorbar
from matplotlib.figure import Figure

from seit_cl.reporting.axes import LOW_PANEL, MANY_ROWS, new_figure
from seit_cl.reporting.best import best_runs
from seit_cl.reporting.grouping import (
    Series,
    Setting,
    bound_series,
    budget_of,
    of_budget,
    series_of,
    setting_of,
    settings_of,
    with_memory,
    without_sweep_trials,
)
from seit_cl.reporting.labels import figure_note, megabytes, series_label, setting_label
from seit_cl.reporting.titles import wrapped
from seit_cl.results.replicates import replicate_of
from seit_cl.results.run_files import Run

MAX_COLUMNS = 5  # of a grid with more than FEW_SERIES series
FEW_SERIES = 3
USUAL_LINES = 3  # of a panel's title, for which its height has room
LINE_HEIGHT = 0.15  # inches of a further line
MAX_PANELS = 40  # with more, only the best option of each kind of format is drawn
Grid = list[list[Run | None]]  # rows of panels; None is an empty place


def run_panels(
    title: str,
    shown: Sequence[Run],
    runs: Sequence[Run],
    panel_size: tuple[float, float],
    draw: Callable[[Axes, Run], ScalarMappable],
    more: str = "",
) -> tuple[Figure, Colorbar]:
    """Draw a panel per setting, series and budget, of the first seed, and one colour bar.

    Args:
        title: of the figure.
        shown: the runs to choose from; at least one.
        runs: all runs, which decide what the titles must name.
        panel_size: width and height of a panel in inches.
        draw: fills a panel and returns the scale of its colours.
        more: is added to the note below the title.
    """
    grid = panel_grid(shown)
    if len(_runs_in(grid)) > MAX_PANELS:
        best = best_runs(without_sweep_trials(with_memory(shown)))
        if best:
            grid = panel_grid([*best, *of_budget(shown, 0)])
    total = len(_runs_in(grid))
    grid = _first_rows(grid, MAX_PANELS)
    drawn = _runs_in(grid)
    settings = settings_of(with_memory(drawn) or drawn)
    seeds = sorted({replicate_of(run).seed for run in drawn})
    note = f"one seed of each: {', '.join(map(str, seeds))}"
    if len(drawn) < total:
        note += f"; the first {len(drawn)} of {total}"
    if more:
        note += f"; {more}"
    rows = len(grid)
    columns = max(len(row) for row in grid)
    titles = {}
    for each in drawn:
        titles[id(each)] = wrapped(panel_title(each, settings, runs), 0.9 * panel_size[0])
    lines = max(title.count("\n") + 1 for title in titles.values())
    height = panel_size[1] + LINE_HEIGHT * max(0, lines - USUAL_LINES)
    if rows > MANY_ROWS:  # with titles of several lines, these panels cannot be lower than others
        height /= LOW_PANEL
    panel_size = panel_size[0], height
    figure = new_figure(title, figure_note(settings, note), (rows, columns), panel_size)
    axes = figure.subplots(rows, columns, squeeze=False)
    colours: Any = None
    for ax_row, run_row in zip(axes, grid, strict=True):
        for ax, run in zip_longest(ax_row, run_row):
            if run is None:
                ax.set_axis_off()
                continue
            colours = draw(ax, run)
            ax.set_title(titles[id(run)], fontsize="small")
    bar = figure.colorbar(
        colours, ax=list(axes.flat), aspect=25, fraction=0.06, shrink=min(1.0, 2.2 / rows)
    )
    return figure, bar


def _runs_in(grid: Grid) -> list[Run]:
    """The runs in a grid, row by row."""
    runs = []
    for row in grid:
        runs += [run for run in row if run is not None]
    return runs


def _first_rows(grid: Grid, most: int) -> Grid:
    """The first rows of a grid that have at most `most` panels together, one row at least."""
    rows = grid[:1]
    for row in grid[1:]:
        if len(_runs_in([*rows, row])) > most:
            break
        rows.append(row)
    return rows


def panel_grid(runs: Sequence[Run]) -> Grid:
    """Arrange the first seed of each setting, series and budget in rows of panels.

    A series has a panel per budget, and several series share a row if there are many. The last rows
    have the runs without a memory.
    """
    first: dict[tuple[Setting, Series, int], Run] = {}
    for run in sorted(runs, key=lambda run: (replicate_of(run), run.run_id)):
        first.setdefault((setting_of(run), series_of(run), budget_of(run)), run)
    budgets = sorted({budget for _, _, budget in first if budget})
    lines = sorted({(setting, series) for setting, series, budget in first if budget})
    per_row = 1
    if len(lines) > FEW_SERIES:
        per_row = max(1, MAX_COLUMNS // max(len(budgets), 1))
    grid: Grid = []
    for i in range(0, len(lines), per_row):
        row = []
        for setting, series in lines[i : i + per_row]:
            row += [first.get((setting, series, budget)) for budget in budgets]
        grid.append(row)
    columns = max([3, *(len(row) for row in grid)])
    without: list[Run | None] = [first[place] for place in sorted(first) if place[2] == 0]
    for i in range(0, len(without), columns):
        grid.append(without[i : i + columns])
    return grid


def panel_title(run: Run, settings: Sequence[Setting], runs: Sequence[Run]) -> str:
    """The title of a run's panel.

    Lines with the setting if there are several, the series and the budget; of a run without a
    memory, the strategy.
    """
    without_memory = budget_of(run) == 0
    series = bound_series(run) if without_memory else series_of(run)
    label = series_label(series, runs).replace(" (", "\n(")
    if without_memory:
        return f"{label}\nno memory"
    lines = [setting_label(setting_of(run), settings), label, megabytes(budget_of(run))]
    return "\n".join(line for line in lines if line)
