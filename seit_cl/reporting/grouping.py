"""Groups of runs that belong together, and their statistics over replicates.

A *setting* is one row of panels in a figure: dataset, scenario and strategy. A *series* is one line
in a panel: format, learner and variant. Runs of one setting, series and budget are replicates: they
differ by their seed or class order and are averaged. A run without a memory is a *bound*: joint
training, naive fine-tuning, or a strategy that stores no exemplars.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from seit_cl.results.metrics import accuracy_seen
from seit_cl.results.replicates import Replicate, replicate_of
from seit_cl.results.run_files import Run

MB = 1_000_000
Metric = Callable[[pd.DataFrame], float]  # of a run's accuracy.csv; gives a fraction
CONFIRMED = (
    3  # seeds of an option that make other options with a single seed mere trials of a sweep
)


class Setting(NamedTuple):
    """Dataset, scenario and strategy: one row of panels."""

    dataset: str
    scenario: str
    strategy: str


class Series(NamedTuple):
    """Format, learner and variant: one line of a panel.

    `variant` names further options in which runs differ, such as "epochs=5".
    """

    format: str
    learner: str
    variant: str = ""


def budget_of(run: Run) -> int:
    """The memory budget of the run in bytes; 0 without a memory."""
    return int(run.get("memory_bytes", 0))


def tested_on_validation(run: Run) -> bool:
    """Tell whether the run was tested on training images that its stream left out."""
    return run.get("test_on") == "validation"


def setting_of(run: Run) -> Setting:
    """The setting of the run."""
    dataset, scenario, strategy = (str(run.get(name, "")) for name in Setting._fields)
    return Setting(dataset, scenario, strategy)


def series_of(run: Run) -> Series:
    """The series of the run."""
    return Series(str(run.get("format", "")), str(run.get("learner", "")), run.variant)


def settings_of(runs: Sequence[Run]) -> list[Setting]:
    """The settings of the runs, sorted."""
    return sorted({setting_of(run) for run in runs})


def sorted_series(runs: Sequence[Run]) -> list[Series]:
    """The series of the runs, in the order of `in_order`."""
    return in_order({series_of(run) for run in runs})


def sorted_kinds(runs: Sequence[Run]) -> list[Series]:
    """The series of the runs without the options of their formats, in the order of `in_order`."""
    return in_order({without_options(series_of(run)) for run in runs})


def sorted_budgets(runs: Sequence[Run]) -> list[int]:
    """The memory budgets of the runs in bytes, increasing."""
    return sorted({budget_of(run) for run in runs})


def finished(runs: Sequence[Run]) -> list[Run]:
    """The finished runs; only their numbers are reported."""
    return [run for run in runs if run.status == "finished"]


def with_memory(runs: Sequence[Run]) -> list[Run]:
    """The finished runs that replay from a memory."""
    return [run for run in finished(runs) if budget_of(run) > 0]


def with_exemplars(runs: Sequence[Run]) -> list[Run]:
    """The runs whose memory holds an exemplar."""
    return [run for run in runs if float(run.get("exemplars", 0)) > 0]


def of_setting(runs: Sequence[Run], setting: Setting) -> list[Run]:
    """The runs of one setting."""
    return [run for run in runs if setting_of(run) == setting]


def of_series(runs: Sequence[Run], series: Series) -> list[Run]:
    """The runs of one series."""
    return [run for run in runs if series_of(run) == series]


def of_budget(runs: Sequence[Run], budget: int) -> list[Run]:
    """The runs with one memory budget, in bytes."""
    return [run for run in runs if budget_of(run) == budget]


def of_kind(runs: Sequence[Run], kind: Series) -> list[Run]:
    """The runs of one kind of series (`without_options`)."""
    return [run for run in runs if without_options(series_of(run)) == kind]


def budget_binds(run: Run) -> bool:
    """Tell whether the budget made the memory turn samples away or evict exemplars.

    Older results do not record it. For them the budget is taken to bind when less than two
    exemplars of mean size, or less than 2 % of the budget, are free.
    """
    recorded = run.get("memory_full")
    if recorded is not None:
        return bool(recorded)
    budget = budget_of(run)
    free = budget - float(run.get("used_bytes", 0))
    two_exemplars = 2 * float(run.get("bytes_per_exemplar", 0))
    return free < max(two_exemplars, 0.02 * budget)


def at_all_budgets(runs: Sequence[Run]) -> list[Run]:
    """The finished runs with a memory, repeated at larger budgets where their own did not bind.

    A run that did not fill its memory would be the same run, number for number, with a larger one.
    Such a run is repeated at every larger budget of its setting at which its series and replicate
    have no run of their own.
    """
    originals = with_memory(runs)
    budgets: dict[Setting, set[int]] = {}
    placed: dict[tuple[Setting, Series, Replicate, int], Run] = {}
    for run in originals:
        budgets.setdefault(setting_of(run), set()).add(budget_of(run))
        placed[setting_of(run), series_of(run), replicate_of(run), budget_of(run)] = run
    for run in originals:
        if budget_binds(run):
            continue
        for budget in budgets[setting_of(run)]:
            if budget > budget_of(run):
                copy = replace(run, metadata={**run.metadata, "memory_bytes": budget})
                place = setting_of(run), series_of(run), replicate_of(run), budget
                placed.setdefault(place, copy)
    return list(placed.values())


def without_sweep_trials(runs: Sequence[Run]) -> list[Run]:
    """The runs without the trials of a sweep whose best option was then run with more seeds.

    A run is a trial if it is the only one of its series at its setting and budget, while another
    option of the same kind of format, learner and variant has CONFIRMED seeds or more there.
    """
    counts: dict[tuple[Setting, int, Series], dict[Series, int]] = {}
    for run in runs:
        options = counts.setdefault(_sweep_of(run), {})
        options[series_of(run)] = options.get(series_of(run), 0) + 1
    remaining = []
    for run in runs:
        options = counts[_sweep_of(run)]
        alone = options[series_of(run)] == 1
        confirmed = max(options.values()) >= CONFIRMED
        if not (alone and confirmed):
            remaining.append(run)
    return remaining


def _sweep_of(run: Run) -> tuple[Setting, int, Series]:
    """The values that runs of one sweep share: they try options of one kind of format."""
    return setting_of(run), budget_of(run), without_options(series_of(run))


def bounds_of(runs: Sequence[Run], setting: Setting) -> dict[Series, list[Run]]:
    """The finished runs without a memory on a setting's dataset and scenario, by bound."""
    groups: dict[Series, list[Run]] = {}
    for run in finished(runs):
        if budget_of(run) == 0 and setting_of(run)[:2] == setting[:2]:
            groups.setdefault(bound_series(run), []).append(run)
    return dict(sorted(groups.items()))


def bound_series(run: Run) -> Series:
    """The series of a run without a memory: its strategy takes the place of the format."""
    return series_of(run)._replace(format=setting_of(run).strategy)


def format_kind(series: Series) -> str:
    """The format without its options, such as "jpeg" of "jpeg:quality=75"."""
    return series.format.partition(":")[0]


def format_options(series: Series) -> str:
    """The options of the format, such as "quality=75" of "jpeg:quality=75"."""
    return series.format.partition(":")[2]


def without_options(series: Series) -> Series:
    """The series without the options of its format."""
    return series._replace(format=format_kind(series))


def is_tokens(series: Series) -> bool:
    """Tell whether a series stores tokens."""
    return format_kind(series) == "tokens"


def in_order(series: Collection[Series]) -> list[Series]:
    """Series sorted: tokens first, then by name, with numbers in names compared by their value."""
    return sorted(series, key=_rank)


def rank_in_order(series: Collection[Series]) -> dict[Series, int]:
    """The place of each series in the order of `in_order`."""
    return {each: place for place, each in enumerate(in_order(series))}


def split_tokens(series: Sequence[Series]) -> tuple[list[Series], list[Series]]:
    """Separate the series that store tokens from the others, in their order."""
    tokens = [each for each in series if is_tokens(each)]
    others = [each for each in series if not is_tokens(each)]
    return tokens, others


def _rank(series: Series) -> tuple[bool, list[tuple[int, str]]]:
    """The sorting key of `in_order`."""
    parts: list[tuple[int, str]] = []
    for i, part in enumerate(re.split(r"(\d+)", " ".join(series))):
        is_number = i % 2 == 1  # re.split puts what its group matched at the odd places
        parts.append((int(part), "") if is_number else (0, part))
    return not is_tokens(series), parts


def trained_jointly(run: Run) -> bool:
    """Tell whether the run learnt several experiences at once, as joint training does."""
    steps = run.accuracy["after_experience"].unique()
    return len(steps) == 1 and int(steps[0]) > 0


def percentages(runs: Sequence[Run], metric: Metric) -> list[float]:
    """A metric of each run's accuracies, in percent."""
    return [100 * metric(run.accuracy) for run in runs]


def mean_std(values: Sequence[float]) -> tuple[float, float]:
    """Mean and sample standard deviation of the values that are not nan.

    Returns:
        (nan, nan) without any value; the standard deviation of a single value is 0.
    """
    array = np.array(values, dtype=float)
    array = array[~np.isnan(array)]
    if array.size == 0:
        return float("nan"), float("nan")
    std = float(array.std(ddof=1)) if array.size > 1 else 0.0
    return float(array.mean()), std


def mean_value(runs: Sequence[Run], name: str, default: float | None = None) -> float:
    """The mean of a number in the metadata of runs."""
    return mean_std([float(run.get(name, default)) for run in runs])[0]


def accuracy_curve(runs: Sequence[Run]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Accuracy on the classes seen so far, over experiences.

    Args:
        runs: of one series; they may have been tested after different numbers of experiences.

    Returns:
        experiences learnt (n,), mean over runs (n,) and standard deviation (n,), the latter two in
        percent.
    """
    curves = [100 * accuracy_seen(run.accuracy) for run in runs]
    length = max(len(curve) for curve in curves)
    statistics = np.empty((length, 2))
    for t in range(length):
        statistics[t] = mean_std([curve[t] for curve in curves if t < len(curve)])
    tested = ~np.isnan(statistics[:, 0])
    experiences = np.arange(1, length + 1)
    return experiences[tested], statistics[tested, 0], statistics[tested, 1]
