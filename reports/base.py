"""What a report is, and what the reports share: groups of runs (_groups), colours (_styles), figures and axes (_axes)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.figure import Figure

from seit_cl.reports._axes import Metric, bytes_axis, draw_bounds, finish, memory_axis, new_figure
from seit_cl.reports._groups import (
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
)  # fmt: skip
from seit_cl.reports._styles import Style, bound_styles, style_cycle, styles
from seit_cl.results import Run

__all__ = [
    "CHECKED", "MB", "Metric", "Report", "Series", "Setting", "Style", "all_at_once", "at_all_budgets", "binds", "bound_styles",
    "bounds", "budget", "bytes_axis", "curve", "draw_bounds", "finish", "finished", "in_order", "is_tokens", "label", "mean_std",
    "megabytes", "memory_axis", "new_figure", "note", "past_sweeps", "row_label", "rows_of", "seeds_note", "series", "setting",
    "style_cycle", "styles", "with_memory",
]  # fmt: skip


@dataclass(frozen=True)
class Report:
    """A figure of the report. `make` gets all runs of an output folder, and gives None when it has nothing to show."""

    name: str
    title: str
    make: Callable[[list[Run]], Figure | None]
