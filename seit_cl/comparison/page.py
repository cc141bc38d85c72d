"""Tables of a comparison, from result files: accuracy at equal bytes, the sweep, and the bounds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from seit_cl.comparison.choice import preference
from seit_cl.reporting.grouping import (
    MB,
    Metric,
    Series,
    at_all_budgets,
    budget_of,
    finished,
    format_kind,
    format_options,
    is_tokens,
    of_budget,
    of_series,
    of_setting,
    percentages,
    series_of,
    setting_of,
    settings_of,
    sorted_budgets,
    sorted_series,
    tested_on_validation,
    trained_jointly,
    without_options,
    without_sweep_trials,
)
from seit_cl.reporting.labels import fill_sentence
from seit_cl.reporting.loading import mark_variants
from seit_cl.reporting.markdown import page, table
from seit_cl.reporting.pairs import differences
from seit_cl.results.intervals import mean_interval
from seit_cl.results.metrics import average_incremental_accuracy, final_accuracy, tested_images
from seit_cl.results.replicates import replicate_of
from seit_cl.results.run_files import Run, read_runs

MIN_SWEPT = 3  # options of one kind of format that make a sweep
CHOICES = (
    "These runs leave a part of the training images out and are tested on it. They choose the "
    "rivals of tokens, which are then trained on all training images and tested on the test images."
)
CHOSEN_ON_TEST = (
    "The sweep below is tested on the test images: rivals that it chose had the better of chance."
)


def comparison_page(out: Path, command: str) -> str:
    """Return the Markdown page of a folder of results.

    Args:
        out: the folder.
        command: as typed; the page opens with it and with this machine, which need not be the one
            that made the runs.
    """
    runs = finished(mark_variants(read_runs(out)))
    stored = at_all_budgets(runs)
    sections = []
    for setting in settings_of(stored):
        own = of_setting(stored, setting)
        sections.append("## " + ", ".join(part for part in setting if part))
        sections.append(fill_sentence(own))
        if any(tested_on_validation(run) for run in own):
            sections += [CHOICES, rivals_table(own), "### Sweep, final %", sweep_table(own, 1)]
            continue
        sections.append(equal_bytes_table(without_sweep_trials(own)))
        if any(_swept_series(of_budget(own, each), MIN_SWEPT) for each in sorted_budgets(own)):
            sections += [CHOSEN_ON_TEST, "### Sweep, final %", sweep_table(own)]
    bounds = [run for run in runs if budget_of(run) == 0]
    sections += ["## Bounds", bounds_table(bounds)]
    return page("Comparison at equal bytes", command, torch.device("cpu"), sections)


def equal_bytes_table(runs: Sequence[Run]) -> str:
    """Return a table with a row for each budget, format and learner.

    Its columns are the exemplars that fit, accuracies with 95 % intervals over runs, and the
    difference between tokens and the row's format at the same seeds and class orders.

    Args:
        runs: of one setting, all with a memory.
    """
    tokens = next((series for series in sorted_series(runs) if is_tokens(series)), None)
    rows = []
    for budget in sorted_budgets(runs):
        at_budget = of_budget(runs, budget)
        for series in sorted_series(at_budget):
            group = of_series(at_budget, series)
            rows.append(
                [
                    f"{budget / MB:g}",
                    series.format,
                    series.learner,
                    str(len(group)),
                    _mean(group, "exemplars"),
                    _mean(group, "bytes_per_exemplar"),
                    *_accuracies(group),
                    _advantage_of_tokens(at_budget, tokens, series, budget),
                ]
            )
    header = [
        "memory, MB",
        "format",
        "learner",
        "seeds",
        "exemplars",
        "bytes each",
        "final %",
        "average %",
        "tokens end higher by",
    ]
    return table(header, rows)


def _advantage_of_tokens(
    runs: Sequence[Run], tokens: Series | None, series: Series, budget: int
) -> str:
    """Return final accuracy of tokens minus that of a series, e.g. "+4.1 ± 3.1 (5)"; "" without."""
    if tokens is None or series == tokens:
        return ""
    by_budget = differences(runs, setting_of(runs[0]), tokens, series)
    if budget not in by_budget:
        return ""
    difference = by_budget[budget]
    if difference.pairs == 1:
        return f"{difference.points:+.1f} (1)"
    return f"{difference.points:+.1f} ± {difference.half:.1f} ({difference.pairs})"


def rivals_table(runs: Sequence[Run]) -> str:
    """Return a table of the best format of every kind and of all kinds, by budget and learner.

    Args:
        runs: of one setting, all with a memory; the accuracies choose.
    """
    kinds = sorted({format_kind(series_of(run)) for run in runs})
    rows = []
    for budget in sorted_budgets(runs):
        for learner in sorted({series_of(run).learner for run in runs}):
            group = [run for run in of_budget(runs, budget) if series_of(run).learner == learner]
            if not group:
                continue
            best = min(group, key=preference)
            row = [f"{budget / MB:g}", learner, series_of(best).format]
            for kind in kinds:
                of_kind = [run for run in group if format_kind(series_of(run)) == kind]
                row.append(_best_cell(of_kind))
            rows.append(row)
    return table(["memory, MB", "learner", "best", *kinds], rows)


def _final(run: Run) -> float:
    return final_accuracy(run.accuracy)


def _best_cell(runs: Sequence[Run]) -> str:
    """Return the options and the accuracy of the best run, e.g. "quality=25: 34.8 %"."""
    if not runs:
        return "–"
    best = min(runs, key=preference)
    return f"{format_options(series_of(best))}: {100 * _final(best):.1f} %"


def sweep_table(runs: Sequence[Run], fewest: int = MIN_SWEPT) -> str:
    """Return a table of final accuracies of the first seed, by swept option and budget.

    The best option of a kind of format and learner at a budget is bold. Numbers of exemplars follow
    in brackets.

    Args:
        runs: of one setting, all with a memory.
        fewest: options of a kind that make it part of the sweep.
    """
    first_seed = [run for run in runs if int(run.get("seed", 0)) == 0]
    swept = _swept_series(first_seed, fewest)
    cells = {(series_of(run), budget_of(run)): run for run in first_seed}
    budgets = sorted({budget for series, budget in cells if series in swept})
    best = _best_accuracies(first_seed)
    rows = []
    for series in swept:
        row = [f"{series.format}, {series.learner} learner"]
        for budget in budgets:
            best_here = best.get((without_options(series), budget), 0.0)
            row.append(_sweep_cell(cells.get((series, budget)), best_here))
        rows.append(row)
    return table(["format", *(f"{budget / MB:g} MB" for budget in budgets)], rows)


def _swept_series(runs: Sequence[Run], fewest: int) -> list[Series]:
    """Return the series whose kind of format was run with at least so many options."""
    every = sorted_series(runs)
    kinds = [without_options(series) for series in every]
    return [series for series in every if kinds.count(without_options(series)) >= fewest]


def _best_accuracies(runs: Sequence[Run]) -> dict[tuple[Series, int], float]:
    """Return the best final accuracy by series without options and budget."""
    best: dict[tuple[Series, int], float] = {}
    for run in runs:
        key = (without_options(series_of(run)), budget_of(run))
        best[key] = max(best.get(key, 0.0), final_accuracy(run.accuracy))
    return best


def _sweep_cell(run: Run | None, best: float) -> str:
    if run is None:
        return "–"
    accuracy = final_accuracy(run.accuracy)
    text = f"{100 * accuracy:.1f}"
    if accuracy == best:
        text = f"**{text}**"
    return f"{text} ({int(run.get('exemplars')):,})"


def bounds_table(runs: Sequence[Run]) -> str:
    """Return a table of runs without a memory, a row for each strategy and learner."""
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        key = (str(run.get("strategy")), str(run.get("learner")))
        groups.setdefault(key, []).append(run)
    rows = []
    for key in sorted(groups):
        group = groups[key]
        steps = f"{int(group[0].get('steps')):,}"
        rows.append([*key, str(len(group)), *_accuracies(group), steps])
    return table(["strategy", "learner", "seeds", "final %", "average %", "steps"], rows)


def _accuracies(group: Sequence[Run]) -> list[str]:
    """Return the means of final and average accuracy in percent, with intervals for several seeds.

    A joint run is tested once, so it has no average.
    """
    final = _mean_with_interval(group, final_accuracy)
    if all(trained_jointly(run) for run in group):
        return [final, "–"]
    return [final, _mean_with_interval(group, average_incremental_accuracy)]


def _mean_with_interval(group: Sequence[Run], metric: Metric) -> str:
    replicates = [replicate_of(run) for run in group]
    step = 100 / min(tested_images(run.accuracy) for run in group)
    mean, half_width = mean_interval(percentages(group, metric), replicates, step)
    if len(group) == 1:
        return f"{mean:.1f}"
    return f"{mean:.1f} ± {half_width:.1f}"


def _mean(group: Sequence[Run], name: str) -> str:
    """Return the mean of a value of the metadata."""
    return f"{sum(float(run.get(name, 0)) for run in group) / len(group):,.0f}"
