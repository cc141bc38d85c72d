"""The table of what storing the stream costs in each format, next to the accuracy that a memory of that format bought."""

from __future__ import annotations

from typing import Any

import pandas as pd

from seit_cl.reporting.base import Report
from seit_cl.reporting.cost import DAYS, Prices, gigabytes, month_when_full, spent
from seit_cl.reporting.grouping import (
    MB,
    Setting,
    at_all_budgets,
    settings_of,
    without_sweep_trials,
)
from seit_cl.reporting.labels import series_label, significant
from seit_cl.reporting.storage import Line, lines_of, stream
from seit_cl.reporting.tables import Table, plus_minus
from seit_cl.results.run_files import Run

TITLE = "Cost of storing the stream"
CAPTION = (
    "Bytes each: of an exemplar in the memory's file, as measured. GB, full: the store once images leave it as fast as they "
    "arrive. Core-hours: of one processor core, to tokenize, where the format stores tokens, and to encode a month of the "
    "stream, as measured; a dash where no run noted it. Final %: mean ± standard deviation over seeds, of a replay memory of "
    "that many MB."
)


def make(runs: list[Run], prices: Prices) -> Table | None:
    """A row per setting, format and learner; None where no run kept an exemplar."""
    shown = without_sweep_trials(at_all_budgets(runs))
    rows = settings_of(shown)
    lines = [(row, line) for row in rows for line in lines_of(shown, row)]
    if not lines:
        return None
    sizes = sorted({size for _, line in lines for size in line.accuracy})
    names = [i for i in range(3) if len({row[i] for row, _ in lines}) > 1]
    end = prices.retention_months
    headings = [
        *(Setting._fields[i] for i in names),
        "format",
        "bytes each",
        "GB, full",
        "core-hours a month",
        "a month, full",
        f"spent in {end:g} months",
        *(f"final %, {size / MB:g} MB" for size in sizes),
    ]
    text, numbers = [], []
    for row, line in lines:
        known = _numbers(line, prices)
        ended = [line.accuracy.get(size, (float("nan"), 0.0, 0)) for size in sizes]
        accuracy = [plus_minus(mean, std, seeds > 1) for mean, std, seeds in ended]
        money = [
            significant(known[name], 4) if known[name] == known[name] else "–"
            for name in list(known)[1:]
        ]
        text.append(
            [
                *(row[i] for i in names),
                series_label(line.key, runs),
                f"{known['bytes_each']:,.0f}",
                *money,
                *accuracy,
            ]
        )
        ends = {
            f"final_accuracy_{size}": line.accuracy[size][0] / 100
            for size in sizes
            if size in line.accuracy
        }
        numbers.append({**row._asdict(), **line.key._asdict(), **known, **ends})
    caption = f"What storing a stream costs: {stream(prices)}. {CAPTION}"
    return Table(caption, headings, text, pd.DataFrame(numbers), len(names) + 1)


def _numbers(line: Line, prices: Prices) -> dict[str, Any]:
    """The columns of the table, in order, from the measured bytes on."""
    hours = prices.images_per_day * DAYS * line.storage.core_seconds / 3600
    return {
        "bytes_each": line.storage.bytes_each,
        "gigabytes_full": gigabytes(line.storage, prices, prices.retention_months),
        "core_hours_a_month": hours,
        "month_when_full": month_when_full(line.storage, prices),
        "spent_in_retention": spent(line.storage, prices, prices.retention_months),
    }


REPORT = Report("storage_cost", TITLE, make, priced=True)
