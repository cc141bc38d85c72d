"""The table of final accuracies by class order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from seit_cl.reporting.base import Report
from seit_cl.reporting.grouping import (
    MB,
    finished,
    mean_std,
    percentages,
    without_sweep_trials,
)
from seit_cl.reporting.labels import differing_fields, field_values, series_label
from seit_cl.reporting.places import Place, by_place
from seit_cl.reporting.tables import MISSING, Table, plus_minus
from seit_cl.results.metrics import final_accuracy
from seit_cl.results.replicates import replicate_of
from seit_cl.results.run_files import Run

CAPTION = (
    "Final accuracy in % by the seed of the class order: mean over the seeds that have it, ± their "
    "standard deviation where there are several. Range: highest minus lowest mean of a row."
)


class ClassOrders(Report):
    """A row per setting, series and budget with several class orders, a column per class order."""

    title = "Accuracy by class order"

    def make(self, runs: Sequence[Run]) -> Table | None:
        """Make the table; None if no row has two class orders."""
        rows = {place: by_order for place, by_order in _rows(runs).items() if len(by_order) > 1}
        if not rows:
            return None
        orders = sorted({order for by_order in rows.values() for order in by_order})
        fields = differing_fields([place.setting for place in rows])
        text = []
        numbers = []
        for (setting, series, budget), by_order in rows.items():
            label = series_label(series, runs)
            memory = f"{budget / MB:g}"
            statistics = {order: mean_std(values) for order, values in by_order.items()}
            cells = []
            for order in orders:
                if order in by_order:
                    cells.append(plus_minus(*statistics[order], len(by_order[order]) > 1))
                else:
                    cells.append(MISSING)
            means = [mean for mean, _ in statistics.values()]
            spread = max(means) - min(means)
            text.append([*field_values(setting, fields), label, memory, *cells, f"{spread:.1f}"])
            row: dict[str, Any] = {**setting._asdict(), **series._asdict(), "memory_bytes": budget}
            for order, (mean, _) in statistics.items():
                row[f"order_{order}"] = mean / 100
            numbers.append(row)
        headings = [*fields, "format", "memory, MB", *map(str, orders), "range"]
        return Table(CAPTION, headings, text, pd.DataFrame(numbers), text_columns=len(fields) + 1)


def _rows(runs: Sequence[Run]) -> dict[Place, dict[int, list[float]]]:
    """Final accuracies in percent by row of the table, in order, and by class order."""
    rows = {}
    for place, members in by_place(without_sweep_trials(finished(runs))).items():
        by_order: dict[int, list[float]] = {}
        for run in members:
            (percent,) = percentages([run], final_accuracy)
            by_order.setdefault(replicate_of(run).order, []).append(percent)
        rows[place] = by_order
    return rows


REPORT = ClassOrders
