"""Finished runs of a study, paired by seed and class order, and the cells of its tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from seit_cl import RunResult, read_runs
from seit_cl.results.intervals import mean_interval
from seit_cl.results.metrics import average_incremental_accuracy

Group = dict[tuple[float, int], RunResult]  # by budget in MB and seed
Pair = tuple[RunResult, RunResult]


def final(result: RunResult) -> float:
    """Accuracy in percent over all classes after the last experience."""
    return 100 * result.final_accuracy


def average(result: RunResult) -> float:
    """Average incremental accuracy in percent."""
    return 100 * average_incremental_accuracy(result.frame)


def read_group(folder: Path) -> Group:
    """Read the finished runs of a folder, by budget and seed."""
    group: Group = {}
    for of_budget in sorted(folder.glob("*MB")):
        for result in read_runs(of_budget):
            if result.status == "finished":
                config = result.run.config
                group[float(config["memory_mb"]), int(config["seed"])] = result
    return group


def budgets_of(groups: Iterable[Group]) -> list[float]:
    """All budgets in MB of which there are runs, in ascending order."""
    found: set[float] = set()
    for group in groups:
        found |= {budget for budget, _ in group}
    return sorted(found)


def at_budget(group: Group, budget: float) -> list[RunResult]:
    """Runs of a group at a budget in MB, by seed."""
    return [group[key] for key in sorted(group) if key[0] == budget]


def paired(first: Group, second: Group, budget: float) -> list[Pair]:
    """Runs of two groups at a budget in MB with equal seed, and so equal class order."""
    keys = sorted(set(first) & set(second))
    return [(first[key], second[key]) for key in keys if key[0] == budget]


def interval(values: Sequence[float], sign: str = "", fewest: int = 2) -> str:
    """A mean with its 95 % interval over seeds and class orders (Student's t); "" without values.

    Args:
        values: of the runs, or of pairs of runs.
        sign: "+" to write the sign of a positive mean.
        fewest: number of values below which the mean stands alone.
    """
    if len(values) == 0:
        return ""
    mean, half = mean_interval(values)
    text = f"{mean:{sign}.1f}"
    return f"{text} ± {half:.1f}" if len(values) >= fewest else text


def accuracy_cells(results: Sequence[RunResult]) -> list[str]:
    """Final and average accuracy of runs, in percent."""
    finals = [final(result) for result in results]
    averages = [average(result) for result in results]
    return [interval(finals), interval(averages)]


def exemplars(results: Sequence[RunResult]) -> str:
    """Mean number of exemplars at the end of runs; "" without runs."""
    if not results:
        return ""
    counts = [float(result.facts.get("exemplars", 0)) for result in results]
    return f"{sum(counts) / len(counts):,.0f}"


def difference_cells(pairs: Sequence[Pair]) -> list[str]:
    """Differences of paired runs in final and in average accuracy, in points, and their number."""
    finals = [final(first) - final(second) for first, second in pairs]
    averages = [average(first) - average(second) for first, second in pairs]
    return [interval(finals, "+"), interval(averages, "+"), str(len(pairs))]
