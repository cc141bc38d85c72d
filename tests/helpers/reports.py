"""Reports made from runs in tests, and the files that they leave."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seit_cl.core import plugins
from seit_cl.reporting.base import ReportContext
from seit_cl.reporting.cost import Prices
from seit_cl.results.run_files import Run


def make_report(name: str, runs: Sequence[Run], prices: Prices | None = None) -> Any:
    """Make a report by its name: a figure, a table, or None."""
    return plugins.build("report", name, ReportContext(prices)).make(runs)


def figure_names(out: Path) -> set[str]:
    """The names of the figures in a folder."""
    return {path.stem for path in (out / "figures").glob("*.png")}


def legend_labels(figure: Any) -> list[str]:
    """The labels in the legend of a figure."""
    return [text.get_text() for text in figure.legends[0].get_texts()]


def lines_by_label(ax: Any) -> dict[str, Any]:
    """The lines with error bars of a panel, by label."""
    return {container.get_label(): container.lines[0] for container in ax.containers}
