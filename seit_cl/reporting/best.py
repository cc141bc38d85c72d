"""The best option of each kind of format: a sweep over qualities as one line.

At a budget, the best option is the one with the highest mean final accuracy among those tried with
the most seeds. A choice by the accuracy that is then shown favours the kinds with the most options
tried, JPEG in most sweeps.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from seit_cl.reporting.grouping import (
    Series,
    Setting,
    budget_of,
    format_options,
    is_tokens,
    mean_std,
    series_of,
    setting_of,
    without_options,
)
from seit_cl.results.metrics import final_accuracy
from seit_cl.results.run_files import Run


def best_option(runs: Sequence[Run]) -> tuple[str, float, float]:
    """The best option of a format at one budget.

    Args:
        runs: of one kind of format and budget.

    Returns:
        the option, such as "quality=75", and the mean and standard deviation of its final accuracy
        in percent.
    """
    accuracies: dict[str, list[float]] = {}
    for run in runs:
        options = format_options(series_of(run))
        accuracies.setdefault(options, []).append(100 * final_accuracy(run.accuracy))
    most_seeds = max(len(values) for values in accuracies.values())
    candidates = {
        options: mean_std(values)
        for options, values in accuracies.items()
        if len(values) == most_seeds
    }
    best = max(candidates, key=lambda options: candidates[options][0])
    mean, std = candidates[best]
    return best, mean, std


def runs_with_options(runs: Sequence[Run], options: str) -> list[Run]:
    """The runs whose format has these options."""
    return [run for run in runs if format_options(series_of(run)) == options]


def best_runs(runs: Sequence[Run]) -> list[Run]:
    """The runs of the best option of each kind of format, at each setting and budget.

    Tokens stay as they are: every option of theirs is a series of its own. Of another kind that was
    tried with several options, the runs are named after the kind alone, so that they form one
    series.
    """
    options_tried: dict[tuple[Setting, Series], set[Series]] = {}
    groups: dict[tuple[Setting, Series, int], list[Run]] = {}
    for run in runs:
        series = series_of(run)
        setting = setting_of(run)
        kind = series if is_tokens(series) else without_options(series)
        options_tried.setdefault((setting, kind), set()).add(series)
        groups.setdefault((setting, kind, budget_of(run)), []).append(run)
    chosen: list[Run] = []
    for (setting, kind, _), candidates in groups.items():
        options, _, _ = best_option(candidates)
        best = runs_with_options(candidates, options)
        if len(options_tried[setting, kind]) > 1:
            best = [replace(run, metadata={**run.metadata, "format": kind.format}) for run in best]
        chosen += best
    return chosen


def distinguishing_options(options: str, tried: Collection[str]) -> str:
    """The parts of format options that are not the same in all options tried.

    Args:
        options: such as "quality=25,size=64".
        tried: all options tried, these included.

    Returns:
        such as "quality=25", where all options tried have the same size.
    """
    others = [set(other.split(",")) for other in tried]
    common = set.intersection(*others)
    return ",".join(part for part in options.split(",") if part not in common)
