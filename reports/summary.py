"""The table of all settings, formats and budgets: means and standard deviations over seeds, the surely best in bold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import pandas as pd
from scipy import stats

from seit_cl.reporting.base import Report
from seit_cl.reporting.grouping import (
    MB,
    Series,
    Setting,
    budget_of,
    finished,
    in_order,
    mean_std,
    series_of,
    setting_of,
    trained_jointly,
)
from seit_cl.reporting.tables import Table, plus_minus
from seit_cl.results.metrics import (
    CONFIDENCE,
    average_incremental_accuracy,
    final_accuracy,
    forgetting,
)
from seit_cl.results.run_files import Run

TITLE = "Summary"
CAPTION = (
    "Mean ± standard deviation over seeds. Bold: the best mean of a dataset, scenario and budget, where it is above the next "
    "best by a paired t-test over their common seeds (two-sided, p < 0.05, no correction for the number of rows); with fewer "
    "than two common seeds nothing is tested. Final and average incremental accuracy in %, forgetting in points."
)
METRICS = {
    "final": final_accuracy,
    "average": average_incremental_accuracy,
    "forgetting": forgetting,
}
TESTED = ("final", "average")


class Line(NamedTuple):
    """A row: runs that differ by seed."""

    row: Setting
    key: Series
    size: int
    runs: list[Run]


def make(runs: list[Run]) -> Table | None:
    """A row per setting, series and budget, bounds last; None where no run has finished."""
    lines = lines_of(finished(runs))
    if not lines:
        return None
    names = [i for i in (0, 1) if len({line.row[i] for line in lines}) > 1]
    shown = ["learner"] * (len({line.key.learner for line in lines}) > 1) + ["variant"] * any(
        line.key.variant for line in lines
    )
    headings = [
        *(Setting._fields[i] for i in names),
        "strategy",
        "format",
        *("options" if s == "variant" else s for s in shown),
        "memory, MB",
        "seeds",
        "exemplars",
        "bytes each",
        "final",
        "average",
        "forgetting",
    ]
    text = []
    bold = {(i, headings.index(name)) for name in TESTED for i in standing_out(lines, name)}
    for line in lines:
        own = [*(line.row[k] for k in names), line.row.strategy, line.key.format or "–"]
        text.append(own + [getattr(line.key, name) or "–" for name in shown] + _cells(line))
    numbers = pd.DataFrame([_numbers(line) for line in lines])
    return Table(CAPTION, headings, text, numbers, len(names) + 2 + len(shown), frozenset(bold))


def lines_of(runs: Sequence[Run]) -> list[Line]:
    """Runs by setting, budget and series, in this order; those without memory at the end."""
    groups: dict[tuple[Setting, int, Series], list[Run]] = {}
    for run in runs:
        groups.setdefault((setting_of(run), budget_of(run), series_of(run)), []).append(run)
    order = {key: i for i, key in enumerate(in_order({key for _, _, key in groups}))}
    keys = sorted(groups, key=lambda key: (key[0][:2], key[1] == 0, key[1], key[0], order[key[2]]))
    return [Line(row, key, size, groups[row, size, key]) for row, size, key in keys]


def values(line: Line, name: str) -> dict[Any, float]:
    """A metric by seed; a joint run, tested once, has no average to compare."""
    if name == "average" and all(trained_jointly(run) for run in line.runs):
        return {}
    return {run.get("seed", 0): METRICS[name](run.accuracy) for run in line.runs}


def standing_out(lines: Sequence[Line], name: str) -> list[int]:
    """The lines that surely have the best mean of a metric at their dataset, scenario and budget: see CAPTION."""
    groups: dict[tuple[Any, ...], list[tuple[float, int, dict[Any, float]]]] = {}
    for i, line in enumerate(lines):
        found = values(line, name) if line.size else {}
        mean = mean_std(list(found.values()))[0]
        if not math.isnan(mean):
            groups.setdefault((*line.row[:2], line.size), []).append((mean, i, found))
    best = []
    for rivals in groups.values():
        ranked = sorted(rivals, key=lambda rival: rival[0], reverse=True)
        if len(ranked) > 1 and surely_apart(ranked[0][2], ranked[1][2]):
            best.append(ranked[0][1])
    return best


def surely_apart(ours: dict[Any, float], theirs: dict[Any, float]) -> bool:
    """Whether values by seed differ by a paired t-test over their common seeds, two at least; a difference that is the same at
    every seed is sure."""
    apart = [ours[seed] - theirs[seed] for seed in ours.keys() & theirs.keys()]
    if len(apart) < 2:
        return False
    if max(apart) - min(apart) < 1e-12:
        return abs(apart[0]) > 1e-12
    return bool(stats.ttest_1samp(apart, 0).pvalue < 1 - CONFIDENCE)


def _cells(line: Line) -> list[str]:
    """The numbers of a row as text, from the budget on."""
    several = len(line.runs) > 1
    kept = mean_std([float(run.get("exemplars")) for run in line.runs])
    each = mean_std([float(run.get("bytes_per_exemplar")) for run in line.runs])
    memory = (
        [plus_minus(*kept, several and kept[1] > 0, 0), f"{each[0]:,.0f}"]
        if line.size
        else ["–", "–"]
    )
    scores = [mean_std([100 * value for value in values(line, name).values()]) for name in METRICS]
    return [
        f"{line.size / MB:g}",
        str(len(line.runs)),
        *memory,
        *(plus_minus(*score, several) for score in scores),
    ]


def _numbers(line: Line) -> dict[str, Any]:
    """The row of the CSV file: fractions and bytes."""
    known = {
        **line.row._asdict(),
        **line.key._asdict(),
        "memory_bytes": line.size,
        "seeds": len(line.runs),
    }
    for name in ("exemplars", "bytes_per_exemplar"):
        known[f"{name}_mean"], known[f"{name}_sd"] = mean_std(
            [float(run.get(name)) for run in line.runs]
        )
    for name in METRICS:
        known[f"{name}_mean"], known[f"{name}_sd"] = mean_std(list(values(line, name).values()))
    return known | (
        {name: math.nan for name in known if name.endswith("_sd")} if len(line.runs) == 1 else {}
    )


REPORT = Report("summary", TITLE, make)
