"""The table of accuracies between training steps and of linear probes of the final features."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from seit_cl.reporting.base import Report
from seit_cl.reporting.grouping import (
    MB,
    finished,
    mean_std,
    without_sweep_trials,
)
from seit_cl.reporting.labels import differing_fields, field_values, replicates_text, series_label
from seit_cl.reporting.places import Place, by_place
from seit_cl.reporting.tables import Table, plus_minus
from seit_cl.results.anytime import ANYTIME_METRICS
from seit_cl.results.metrics import final_accuracy
from seit_cl.results.run_files import Run

CAPTION = (
    "Accuracy between training steps, on a fixed subset of the test images, and of a linear probe; "
    "mean ± standard deviation over {runs}. Anytime: mean over the tests. WC-ACC and min-ACC: "
    "worst case and minimum as in De Lange et al. (ICLR 2023). Stability gap, points: the drop on "
    "earlier experiences from which they recover within an experience. Linear probe: logistic "
    "regression on the final features of all training images; minus final: what they tell about "
    "all classes and the head does not. In %, on all test images where not said otherwise."
)
HEADINGS = {
    "average_anytime_accuracy": "anytime",
    "worst_case_accuracy": "WC-ACC",
    "minimum_accuracy": "min-ACC",
    "stability_gap": "stability gap",
    "final_accuracy": "final",
    "linear_probe_accuracy": "linear probe",
    "probe_minus_final": "minus final",
}


class Anytime(Report):
    """A row per setting, budget and series."""

    title = "Accuracy between training steps, and linear probe"
    source = "De Lange et al., ICLR 2023"

    def make(self, runs: Sequence[Run]) -> Table | None:
        """Make the table; None if no finished run has such a value."""
        groups = _groups(runs)
        if not groups:
            return None
        values = {}
        for place, group in groups.items():
            values[place] = [_values(run) for run in group]
        names = [name for name in HEADINGS if _is_known(name, values)]
        fields = differing_fields([place.setting for place in groups])
        text = []
        numbers = []
        for (setting, series, budget), rows in values.items():
            cells = [*field_values(setting, fields), series_label(series, runs), f"{budget / MB:g}"]
            row: dict[str, Any] = {**setting._asdict(), **series._asdict(), "memory_bytes": budget}
            for name in names:
                mean, std = mean_std([one[name] for one in rows])
                cells.append(plus_minus(100 * mean, 100 * std, len(rows) > 1))
                row[name] = mean
            text.append(cells)
            numbers.append(row)
        headings = [*fields, "format", "memory, MB", *(HEADINGS[name] for name in names)]
        shown = [run for group in groups.values() for run in group]
        caption = CAPTION.format(runs=replicates_text(shown))
        return Table(caption, headings, text, pd.DataFrame(numbers), text_columns=len(fields) + 1)


def _groups(runs: Sequence[Run]) -> dict[Place, list[Run]]:
    """The runs with a value of their own here, by row of the table, in order."""
    shown = []
    for run in without_sweep_trials(finished(runs)):
        if not run.anytime.empty or not math.isnan(_probe_accuracy(run)):
            shown.append(run)
    return by_place(shown)


def _probe_accuracy(run: Run) -> float:
    return float(run.get("linear_probe_accuracy", math.nan))


def _values(run: Run) -> dict[str, float]:
    """The values of a run's row, fractions; nan where it has none."""
    values = {name: math.nan for name in ANYTIME_METRICS}
    if not run.anytime.empty:
        values = {name: metric(run.anytime) for name, metric in ANYTIME_METRICS.items()}
    probe = _probe_accuracy(run)
    final = final_accuracy(run.accuracy)
    return {
        **values,
        "final_accuracy": final,
        "linear_probe_accuracy": probe,
        "probe_minus_final": probe - final,
    }


def _is_known(name: str, values: Mapping[Place, Sequence[Mapping[str, float]]]) -> bool:
    """True if a run has a value of that name."""
    return any(not math.isnan(one[name]) for rows in values.values() for one in rows)


REPORT = Anytime
