"""The table of all settings, formats and budgets, with the best results in bold."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from seit_cl.reporting.base import Report
from seit_cl.reporting.grouping import (
    MB,
    Series,
    Setting,
    budget_of,
    finished,
    mean_std,
    rank_in_order,
    series_of,
    setting_of,
    trained_jointly,
)
from seit_cl.reporting.labels import differing_fields, field_values
from seit_cl.reporting.tables import MISSING, Table, plus_minus
from seit_cl.results.intervals import FEWEST_PAIRS, PAIRED_METHOD, claimed, difference_interval
from seit_cl.results.metrics import (
    average_incremental_accuracy,
    final_accuracy,
    final_task_incremental_accuracy,
    final_top5_accuracy,
    forgetting,
    tested_images,
)
from seit_cl.results.replicates import (
    Replicate,
    orders_in,
    replicate_of,
    replication_text,
    seeds_in,
)
from seit_cl.results.run_files import Run

CAPTION = (
    "Mean ± standard deviation over {runs}. Bold: the best mean of a dataset, scenario and budget, "
    "where the interval of its paired difference to the next best, over runs of the same seed and "
    "class order, leaves out 0 (no correction for the number of rows); with fewer than {fewest} "
    "pairs nothing is tested. {method}. Final and average incremental accuracy in %, forgetting in "
    "points. Task-incremental: final accuracy in % of the same scores where the experience of a "
    "sample is known. Top-5: final accuracy in % where the five likeliest of more than 10 classes "
    "count."
)
METRICS = {
    "final": final_accuracy,
    "average": average_incremental_accuracy,
    "forgetting": forgetting,
    "task-incremental": final_task_incremental_accuracy,
    "top-5": final_top5_accuracy,
}
OPTIONAL = ("task-incremental", "top-5")  # left out where no run has them
TESTED = ("final", "average")


class Line(NamedTuple):
    """A row of the table: runs that are replicates, with a budget in bytes."""

    setting: Setting
    series: Series
    budget: int
    runs: list[Run]


class Summary(Report):
    """A row per setting, series and budget; runs without a memory are last."""

    title = "Summary"

    def make(self, runs: Sequence[Run]) -> Table | None:
        """Make the table; None if no run has finished."""
        lines = lines_of(finished(runs))
        if not lines:
            return None
        fields = differing_fields([line.setting for line in lines])
        names = [name for name in fields if name != "strategy"]
        several_learners = len({line.series.learner for line in lines}) > 1
        any_variant = any(line.series.variant for line in lines)
        name_headings = [*names, "strategy", "format"]
        if several_learners:
            name_headings.append("learner")
        if any_variant:
            name_headings.append("options")
        metrics = metrics_of(lines)
        counts = ["seeds", "class orders"] if _have_several_orders(lines) else ["seeds"]
        headings = [*name_headings, "memory, MB", *counts, "exemplars", "bytes each", *metrics]
        text = []
        for line in lines:
            cells = field_values(line.setting, names)
            cells += [line.setting.strategy, line.series.format or MISSING]
            if several_learners:
                cells.append(line.series.learner or MISSING)
            if any_variant:
                cells.append(line.series.variant or MISSING)
            cells += [f"{line.budget / MB:g}", str(seeds_in(_replicates(line)))]
            if "class orders" in counts:
                cells.append(str(orders_in(_replicates(line))))
            text.append([*cells, *_number_cells(line, metrics)])
        bold = set()
        for metric in TESTED:
            for i in best_lines(lines, metric):
                bold.add((i, headings.index(metric)))
        numbers = pd.DataFrame([_numbers(line, metrics) for line in lines])
        replicates = replication_text([_replicates(line) for line in lines])
        caption = CAPTION.format(runs=replicates, method=PAIRED_METHOD, fewest=FEWEST_PAIRS)
        return Table(caption, headings, text, numbers, len(name_headings), frozenset(bold))


def lines_of(runs: Sequence[Run]) -> list[Line]:
    """Group runs by dataset and scenario, budget, strategy and series, in this order.

    Those without a memory are the last of their dataset and scenario.
    """
    groups: dict[tuple[Setting, Series, int], list[Run]] = {}
    for run in runs:
        place = setting_of(run), series_of(run), budget_of(run)
        groups.setdefault(place, []).append(run)
    lines = [Line(*place, group) for place, group in groups.items()]
    rank = rank_in_order({line.series for line in lines})

    def place_in_table(line: Line) -> tuple[Any, ...]:
        setting = line.setting
        data = setting.dataset, setting.scenario
        return data, line.budget == 0, line.budget, setting, rank[line.series]

    return sorted(lines, key=place_in_table)


def _replicates(line: Line) -> list[Replicate]:
    """The replicates of a row."""
    return [replicate_of(run) for run in line.runs]


def _have_several_orders(lines: Sequence[Line]) -> bool:
    """True if the runs of all rows together have several class orders."""
    return orders_in(itertools.chain.from_iterable(map(_replicates, lines))) > 1


def metrics_of(lines: Sequence[Line]) -> list[str]:
    """Names in METRICS of the columns of a table."""
    names = list(METRICS)
    runs = list(itertools.chain.from_iterable(line.runs for line in lines))
    for name in OPTIONAL:
        if all(math.isnan(METRICS[name](run.accuracy)) for run in runs):
            names.remove(name)
    return names


def metric_by_replicate(line: Line, metric: str) -> dict[Replicate, float]:
    """A metric of METRICS by replicate.

    Returns:
        {} for the average accuracy of joint runs, which are tested once only: there is nothing to
        compare it with.
    """
    if metric == "average" and all(trained_jointly(run) for run in line.runs):
        return {}
    return {replicate_of(run): METRICS[metric](run.accuracy) for run in line.runs}


def best_lines(lines: Sequence[Line], metric: str) -> list[int]:
    """Indices of the lines that are significantly the best of their dataset, scenario and budget.

    The caption of the table has the test.
    """
    rivals: dict[tuple[str, str, int], list[tuple[float, int]]] = {}
    for i, line in enumerate(lines):
        if line.budget > 0:
            mean, _ = mean_std(list(metric_by_replicate(line, metric).values()))
            if not math.isnan(mean):
                place = line.setting.dataset, line.setting.scenario, line.budget
                rivals.setdefault(place, []).append((mean, i))
    best = []
    for candidates in rivals.values():
        candidates.sort(key=lambda candidate: candidate[0], reverse=True)
        if len(candidates) > 1:
            (_, first), (_, second), *_ = candidates
            first_values = metric_by_replicate(lines[first], metric)
            second_values = metric_by_replicate(lines[second], metric)
            both = [*lines[first].runs, *lines[second].runs]
            images = min(tested_images(run.accuracy) for run in both)
            if differ_significantly(first_values, second_values, images):
                best.append(first)
    return best


def differ_significantly(
    first: Mapping[Replicate, float], second: Mapping[Replicate, float], images: int
) -> bool:
    """Tell whether paired differences over common replicates are enough for a claim.

    Args:
        first: accuracies by replicate.
        second: to compare with.
        images: number of test images behind each.
    """
    common = sorted(first.keys() & second.keys())
    differences = [first[place] - second[place] for place in common]
    return claimed(*difference_interval(differences, common, images), len(common))


def _number_cells(line: Line, metrics: Sequence[str]) -> list[str]:
    """The numbers of a row as text, from the exemplars on."""
    several = len(line.runs) > 1
    cells = []
    if line.budget:
        count, count_std = _mean_std_of(line.runs, "exemplars")
        size, _ = _mean_std_of(line.runs, "bytes_per_exemplar")
        cells += [plus_minus(count, count_std, several and count_std > 0, 0), f"{size:,.0f}"]
    else:
        cells += [MISSING, MISSING]
    for metric in metrics:
        percent = [100 * value for value in metric_by_replicate(line, metric).values()]
        mean, std = mean_std(percent)
        cells.append(plus_minus(mean, std, several))
    return cells


def _mean_std_of(runs: Sequence[Run], name: str) -> tuple[float, float]:
    """Mean and standard deviation of a number in the metadata of runs."""
    return mean_std([float(run.get(name)) for run in runs])


def _numbers(line: Line, metrics: Sequence[str]) -> dict[str, Any]:
    """A row of the CSV file, as fractions and bytes; standard deviations of one run are nan."""
    statistics = {}
    for name in ("exemplars", "bytes_per_exemplar"):
        statistics[name] = _mean_std_of(line.runs, name)
    for metric in metrics:
        statistics[metric] = mean_std(list(metric_by_replicate(line, metric).values()))
    row: dict[str, Any] = {
        **line.setting._asdict(),
        **line.series._asdict(),
        "memory_bytes": line.budget,
        "seeds": seeds_in(_replicates(line)),
        "class_orders": orders_in(_replicates(line)),
    }
    for name, (mean, std) in statistics.items():
        row[f"{name}_mean"] = mean
        row[f"{name}_sd"] = std if len(line.runs) > 1 else math.nan
    return row


REPORT = Summary
