"""What a report is, and what the reports share: groups of runs (_groups), colours (_styles), figures and axes (_axes)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.figure import Figure

from seit_cl.reporting.axes import (
    LOW,
    MANY,
    Metric,
    bytes_axis,
    draw_bounds,
    draw_lines,
    finish,
    grid,
    memory_axis,
    new_figure,
    plain_log,
    setting_panels,
)
from seit_cl.reporting.grouping import (
    CHECKED,
    MB,
    Series,
    Setting,
    all_at_once,
    at_all_budgets,
    binds,
    bounds,
    budget,
    curve,
    digits,
    finished,
    in_order,
    is_tokens,
    label,
    mean_std,
    megabytes,
    note,
    past_sweeps,
    row_label,
    rows_of,
    seeds_note,
    series,
    setting,
    with_memory,
)
from seit_cl.reporting.presets import look
from seit_cl.reporting.styles import Style, bound_styles, colours, shaded, styles, styles_of
from seit_cl.reporting.tables import Table

__all__ = [
    "CHECKED",
    "LOW",
    "MANY",
    "MB",
    "Metric",
    "Report",
    "Series",
    "Setting",
    "Style",
    "all_at_once",
    "at_all_budgets",
    "binds",
    "bound_styles",
    "bounds",
    "budget",
    "bytes_axis",
    "colours",
    "curve",
    "digits",
    "draw_bounds",
    "draw_lines",
    "finish",
    "finished",
    "grid",
    "in_order",
    "is_tokens",
    "label",
    "look",
    "mean_std",
    "megabytes",
    "memory_axis",
    "new_figure",
    "note",
    "past_sweeps",
    "plain_log",
    "row_label",
    "rows_of",
    "seeds_note",
    "series",
    "setting",
    "setting_panels",
    "shaded",
    "styles",
    "styles_of",
    "with_memory",
]


@dataclass(frozen=True)
class Report:
    """A figure or a table of the report.

    Args:
        name: of its file here, and of its files in figures/ or tables/.
        title: for people.
        make: gets all runs of the report, and gives None when it has nothing to show.
        priced: whether `make` gets the prices (seit_cl.reporting.cost.Prices) too; it is left out where none are given.
    """

    name: str
    title: str
    make: Callable[..., Figure | Table | None]
    priced: bool = False
