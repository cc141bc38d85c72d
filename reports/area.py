"""The table of areas under accuracy against memory: one number per setting and format for all budgets together."""

from __future__ import annotations

import pandas as pd

from seit_cl.reporting.areas import ACCURACIES, areas
from seit_cl.reporting.base import Report
from seit_cl.reporting.grouping import (
    MB,
    Setting,
    at_all_budgets,
    budget_of,
    in_order,
    setting_of,
    settings_of,
    without_sweep_trials,
)
from seit_cl.reporting.labels import series_label
from seit_cl.reporting.tables import Table
from seit_cl.results.run_files import Run

TITLE = "Area under accuracy against memory"
CAPTION = (
    "Area under the mean over seeds of accuracy against the memory budget, divided by the span of the budgets: a mean accuracy "
    "in %. Over MB, as published (MEMO), the largest budgets weigh most; over log MB every doubling weighs the same. Formats "
    "that miss the smallest or the largest budget of their setting are left out: another span is another number."
)


def make(runs: list[Run]) -> Table | None:
    """A row per setting and series; None where no series has two budgets."""
    shown = without_sweep_trials(at_all_budgets(runs))
    rows = settings_of(shown)
    names = [i for i in range(3) if len({row[i] for row in rows}) > 1]
    text, numbers = [], []
    for row in rows:
        group = [run for run in shown if setting_of(run) == row]
        span = f"{min(map(budget_of, group)) / MB:g} to {max(map(budget_of, group)) / MB:g}"
        found = {
            (name, log): areas(group, metric, log)
            for name, metric in ACCURACIES
            for log in (False, True)
        }
        for key in in_order(next(iter(found.values()))):
            cells = {(name, log): area[key] for (name, log), area in found.items()}
            text.append(
                [
                    *(row[i] for i in names),
                    series_label(key, runs),
                    span,
                    *(f"{value:.1f}" for value in cells.values()),
                ]
            )
            known = {
                f"{name.replace(' ', '_')}_{'log_mb' if log else 'mb'}": v / 100
                for (name, log), v in cells.items()
            }
            numbers.append({**row._asdict(), **key._asdict(), "span_mb": span, **known})
    if not text:
        return None
    words = ("final, over MB", "final, over log MB", "average, over MB", "average, over log MB")
    headings = [*(Setting._fields[i] for i in names), "format", "span, MB", *words]
    return Table(CAPTION, headings, text, pd.DataFrame(numbers), len(names) + 1)


REPORT = Report("area", TITLE, make)
