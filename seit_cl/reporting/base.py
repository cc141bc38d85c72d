"""The contract of a report: a figure or a table made from runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.figure import Figure

from seit_cl.reporting.tables import Table


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
