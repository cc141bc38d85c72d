"""Figures that show single runs: which run has which panel, and what its title is."""

from __future__ import annotations

from collections.abc import Callable

from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colorbar import Colorbar
from matplotlib.figure import Figure

from seit_cl.reporting.axes import new_figure
from seit_cl.reporting.best import best_runs
from seit_cl.reporting.grouping import (
    Series,
    Setting,
    budget_of,
    series_of,
    setting_of,
    settings_of,
    with_memory,
    without_sweep_trials,
)
from seit_cl.reporting.labels import figure_note, megabytes, series_label, setting_label
from seit_cl.results.run_files import Run

COLUMNS = 5  # panels beside each other where there are many
MOST = 40  # panels from which on formats tried with several options have the best of them alone


def panels(
    title: str,
    shown: list[Run],
    runs: list[Run],
    size: tuple[float, float],
    draw: Callable[[Axes, Run], ScalarMappable],
) -> tuple[Figure, Colorbar]:
    """A figure with a panel per setting, format and budget, the first seed of each, and a colour bar beside them.

    Args:
        title: of the figure.
        shown: runs to draw.
        runs: all runs, which say what titles must tell apart.
        size: width and height of a panel in inches.
        draw: fills a panel and gives what its colours mean.
    """
    grid = grid_of(shown)
    few = best_runs(without_sweep_trials(with_memory(shown)))
    if sum(run is not None for row in grid for run in row) > MOST and few:
        grid = grid_of([*few, *(run for run in shown if budget_of(run) == 0)])
    all_panels = sum(run is not None for row in grid for run in row)
    grid = _first(grid, MOST)
    columns = max(len(row) for row in grid)
    drawn = [run for row in grid for run in row if run is not None]
    seeds = ", ".join(map(str, sorted({run.get("seed", 0) for run in drawn})))
    settings = settings_of(with_memory(drawn) or drawn)
    note = f"one seed of each: {seeds}" + (
        f"; the first {len(drawn)} of {all_panels}" if len(drawn) < all_panels else ""
    )
    figure = new_figure(title, figure_note(settings, note), (len(grid), columns), size)
    axes = figure.subplots(len(grid), columns, squeeze=False)
    colours = None
    for i, row in enumerate(grid):
        for j, ax in enumerate(axes[i]):
            run = row[j] if j < len(row) else None
            if run is None:
                ax.set_axis_off()
                continue
            colours = draw(ax, run)
            ax.set_title(title_of(run, settings, runs), fontsize="small")
    assert colours is not None
    return figure, figure.colorbar(
        colours, ax=list(axes.flat), aspect=25, fraction=0.06, shrink=min(1.0, 2.2 / len(grid))
    )


def _first(grid: list[list[Run | None]], most: int) -> list[list[Run | None]]:
    """The first rows of a grid that together have no more than `most` panels, one row at least."""
    kept, panels = grid[:1], sum(run is not None for run in grid[0])
    for row in grid[1:]:
        panels += sum(run is not None for run in row)
        if panels > most:
            break
        kept.append(row)
    return kept


def grid_of(runs: list[Run]) -> list[list[Run | None]]:
    """Rows of panels: setting and series with a column per budget, several side by side where there are many; then the
    runs without memory."""
    first: dict[tuple[Setting, Series, int], Run] = {}
    for run in sorted(runs, key=lambda r: (r.get("seed", 0), r.run_id)):
        first.setdefault((setting_of(run), series_of(run), budget_of(run)), run)
    sizes = sorted({size for _, _, size in first if size})
    lines = sorted({(setting, series) for setting, series, size in first if size})
    beside = max(1, COLUMNS // max(len(sizes), 1)) if len(lines) > 3 else 1
    rows: list[list[Run | None]] = [
        [first.get((*line, size)) for line in lines[i : i + beside] for size in sizes]
        for i in range(0, len(lines), beside)
    ]
    free: list[Run | None] = [first[key] for key in sorted(first) if not key[2]]
    width = max(max(map(len, rows), default=0), 3)
    return rows + [free[i : i + width] for i in range(0, len(free), width)]


def title_of(run: Run, settings: list[Setting], runs: list[Run]) -> str:
    """Setting where there are several, series and budget; strategy for a run without memory."""
    setting, size = setting_of(run), budget_of(run)
    line = series_of(run) if size else series_of(run)._replace(format=setting.strategy)
    head = setting_label(setting, settings) if size else ""
    name = series_label(line, runs).replace(" (", "\n(")
    return "\n".join(
        part for part in (head, name, megabytes(size) if size else "no memory") if part
    )
