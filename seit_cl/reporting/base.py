"""The contract of a report: a figure or a table made from runs, one file each in reports/."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import pandas as pd
from matplotlib.figure import Figure

from seit_cl.core.specs import NoOptions
from seit_cl.reporting.cost import Prices
from seit_cl.reporting.tables import Table
from seit_cl.results.run_files import Run


@dataclass(frozen=True)
class ReportContext:
    """Everything but the runs that reports are made from.

    Args:
        prices: of storage; None leaves out the reports of costs.
        density: the table of `python -m seit_cl.density` that prices apply to; None without prices.
    """

    prices: Prices | None = None
    density: pd.DataFrame | None = None


class Report(ABC):
    """Base class of a report plugin: one file in reports/ that names its subclass REPORT.

    The file's name is that of the report, and of its files in figures/ or tables/.

    Attributes:
        title: of the figure or table.
        source: the publication of the quantity shown, or the results that it comes from.
        Options: frozen dataclass of the report's own options.
    """

    title: ClassVar[str]
    source: ClassVar[str] = "the result files of the runs"
    Options: ClassVar[type[Any]] = NoOptions

    def __init__(self, options: Any, context: ReportContext) -> None:
        self.options = options
        self.context = context

    @classmethod
    def build(cls, options: Any, context: ReportContext) -> Self:
        """Build the report.

        Args:
            options: an instance of `Options`.
            context: prices of storage, and what they apply to.
        """
        return cls(options, context)

    @abstractmethod
    def make(self, runs: Sequence[Run]) -> Figure | Table | None:
        """Make the figure or the table.

        Args:
            runs: all runs of the report, in any status, with `variant` set.

        Returns:
            None if the runs have nothing to show in it.
        """
