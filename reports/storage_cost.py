"""The table of the cost of storing a stream in each format, with the accuracy that it allows."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from seit_cl.reporting.base import Report
from seit_cl.reporting.cost import Prices, core_hours_a_month, gigabytes, month_when_full, spent
from seit_cl.reporting.grouping import (
    MB,
    Setting,
    at_all_budgets,
    of_setting,
    settings_of,
    without_sweep_trials,
)
from seit_cl.reporting.labels import differing_fields, field_values, series_label, significant
from seit_cl.reporting.storage import (
    Accuracy,
    MeasuredSeries,
    budgets_of,
    describe_stream,
    measured_series,
)
from seit_cl.reporting.tables import MISSING, Table, plus_minus
from seit_cl.results.run_files import Run

CAPTION = (
    "Bytes each: of an exemplar in the memory's file, as measured. GB, full: the store once images "
    "leave it as fast as they arrive. Core-hours: of one processor core, to tokenize, where the "
    "format stores tokens, and to encode a month of the stream, as measured; a dash where no run "
    "recorded it. Final %: mean ± standard deviation over seeds, of a replay memory of that many "
    "MB."
)
NO_RUN = Accuracy(math.nan, 0.0, 0)


class StorageCost(Report):
    """A row per setting and series."""

    title = "Cost of storing the stream"

    def make(self, runs: Sequence[Run]) -> Table | None:
        """Make the table; None without prices, or if no run stored an exemplar."""
        prices = self.context.prices
        if prices is None:
            return None
        shown = without_sweep_trials(at_all_budgets(runs))
        lines: list[tuple[Setting, MeasuredSeries]] = []
        for setting in settings_of(shown):
            for measured in measured_series(of_setting(shown, setting)):
                lines.append((setting, measured))
        if not lines:
            return None
        fields = differing_fields([setting for setting, _ in lines])
        budgets = budgets_of(measured for _, measured in lines)
        text = []
        numbers = []
        for setting, measured in lines:
            names = field_values(setting, fields)
            label = series_label(measured.series, runs)
            costs = _costs(measured, prices)
            accuracies = _accuracy_cells(measured, budgets)
            text.append([*names, label, *_cost_cells(costs), *accuracies])
            row = {**setting._asdict(), **measured.series._asdict(), **costs}
            for budget in budgets:
                if budget in measured.accuracy:
                    row[f"final_accuracy_{budget}"] = measured.accuracy[budget].mean / 100
            numbers.append(row)
        headings = [
            *fields,
            "format",
            "bytes each",
            "GB, full",
            "core-hours a month",
            "a month, full",
            f"spent in {prices.retention_months:g} months",
            *(f"final %, {budget / MB:g} MB" for budget in budgets),
        ]
        caption = f"What storing a stream costs: {describe_stream(prices)}. {CAPTION}"
        return Table(caption, headings, text, pd.DataFrame(numbers), text_columns=len(fields) + 1)


def _costs(measured: MeasuredSeries, prices: Prices) -> dict[str, float]:
    """The columns of the CSV file from the measured bytes on, in their order."""
    storage = measured.storage
    retention = prices.retention_months
    return {
        "bytes_each": storage.bytes_each,
        "gigabytes_full": gigabytes(storage, prices, retention),
        "core_hours_a_month": core_hours_a_month(storage, prices),
        "month_when_full": month_when_full(storage, prices),
        "spent_in_retention": spent(storage, prices, retention),
    }


def _cost_cells(costs: dict[str, float]) -> list[str]:
    """The same columns as text."""
    cells = []
    for name, value in costs.items():
        if name == "bytes_each":
            cells.append(f"{value:,.0f}")
        else:
            cells.append(MISSING if math.isnan(value) else significant(value, 4))
    return cells


def _accuracy_cells(measured: MeasuredSeries, budgets: Sequence[int]) -> list[str]:
    """Final accuracy at each budget as text."""
    cells = []
    for budget in budgets:
        accuracy = measured.accuracy.get(budget, NO_RUN)
        cells.append(plus_minus(accuracy.mean, accuracy.std, accuracy.seeds > 1))
    return cells


REPORT = StorageCost
