"""The table of areas under accuracy against the memory budget: one number for all budgets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from seit_cl.reporting.areas import ACCURACIES, areas
from seit_cl.reporting.base import Report
from seit_cl.reporting.grouping import (
    MB,
    at_all_budgets,
    in_order,
    of_setting,
    settings_of,
    sorted_budgets,
    without_sweep_trials,
)
from seit_cl.reporting.labels import differing_fields, field_values, series_label
from seit_cl.reporting.tables import Table
from seit_cl.results.run_files import Run

CAPTION = (
    "Area under the mean over seeds of accuracy against the memory budget, divided by the span of "
    "the budgets: a mean accuracy in %. Over MB, as published (MEMO), the largest budgets weigh "
    "most; over log MB every doubling weighs the same. Formats that miss the smallest or the "
    "largest budget of their setting are left out: another span is another number."
)
HEADINGS = ("final, over MB", "final, over log MB", "average, over MB", "average, over log MB")


class Area(Report):
    """A row per setting and series."""

    title = "Area under accuracy against memory"
    source = "Zhou et al., ICLR 2023 (MEMO)"

    def make(self, runs: Sequence[Run]) -> Table | None:
        """Make the table; None if no series has two budgets."""
        shown = without_sweep_trials(at_all_budgets(runs))
        settings = settings_of(shown)
        fields = differing_fields(settings)
        text = []
        numbers = []
        for setting in settings:
            group = of_setting(shown, setting)
            budgets = sorted_budgets(group)
            span = f"{budgets[0] / MB:g} to {budgets[-1] / MB:g}"
            columns = {}
            for name, metric in ACCURACIES:
                column = name.replace(" ", "_")
                columns[f"{column}_mb"] = areas(group, metric, log=False)
                columns[f"{column}_log_mb"] = areas(group, metric, log=True)
            for series in in_order(columns["final_accuracy_mb"]):
                values = {name: column[series] for name, column in columns.items()}
                names = field_values(setting, fields)
                cells = [f"{value:.1f}" for value in values.values()]
                text.append([*names, series_label(series, runs), span, *cells])
                row: dict[str, Any] = {**setting._asdict(), **series._asdict(), "span_mb": span}
                for name, value in values.items():
                    row[name] = value / 100
                numbers.append(row)
        if not text:
            return None
        headings = [*fields, "format", "span, MB", *HEADINGS]
        return Table(CAPTION, headings, text, pd.DataFrame(numbers), text_columns=len(fields) + 1)


REPORT = Area
