"""The table of the cost of storing a stream in each format, with the accuracy that it allows."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from seit_cl.reporting.base import Report
from seit_cl.reporting.density_cost import CAPTION, cost_cells, cost_headings, costs_of
from seit_cl.reporting.grouping import (
    MB,
    Setting,
    at_all_budgets,
    of_setting,
    settings_of,
    without_sweep_trials,
)
from seit_cl.reporting.labels import differing_fields, field_values, series_label
from seit_cl.reporting.storage import (
    Accuracy,
    MeasuredSeries,
    budgets_of,
    describe_stream,
    measured_series,
)
from seit_cl.reporting.tables import Table, plus_minus
from seit_cl.results.run_files import Run

ACCURACY = (
    "Formats and their bytes, speeds and fidelity are those that seit_cl.density measured. Final "
    "%: mean ± standard deviation over seeds, of a replay memory of that many MB; a dash where no "
    "run stored the format"
)
NO_RUN = Accuracy(math.nan, 0.0, 0)


class StorageCost(Report):
    """A row per setting and series."""

    title = "Cost of storing the stream"

    def make(self, runs: Sequence[Run]) -> Table | None:
        """Make the table; None without prices and densities, or if no run stored an exemplar."""
        prices = self.context.prices
        density = self.context.density
        if prices is None or density is None:
            return None
        shown = without_sweep_trials(at_all_budgets(runs))
        lines: list[tuple[Setting, MeasuredSeries]] = []
        for setting in settings_of(shown):
            for measured in measured_series(of_setting(shown, setting), density):
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
            costs = costs_of(measured.storage, prices)
            accuracies = _accuracy_cells(measured, budgets)
            text.append([*names, label, *cost_cells(costs, measured.fidelity), *accuracies])
            row = {**setting._asdict(), **measured.series._asdict(), **costs}
            row |= measured.fidelity._asdict()
            for budget in budgets:
                if budget in measured.accuracy:
                    row[f"final_accuracy_{budget}"] = measured.accuracy[budget].mean / 100
            numbers.append(row)
        headings = [
            *fields,
            "format",
            *cost_headings(prices),
            *(f"final %, {budget / MB:g} MB" for budget in budgets),
        ]
        caption = f"What storing a stream costs: {describe_stream(prices)}. {CAPTION} {ACCURACY}."
        return Table(caption, headings, text, pd.DataFrame(numbers), text_columns=len(fields) + 1)


def _accuracy_cells(measured: MeasuredSeries, budgets: Sequence[int]) -> list[str]:
    """Final accuracy at each budget as text."""
    cells = []
    for budget in budgets:
        accuracy = measured.accuracy.get(budget, NO_RUN)
        cells.append(plus_minus(accuracy.mean, accuracy.std, accuracy.seeds > 1))
    return cells


REPORT = StorageCost
