"""The area under accuracy against the memory budget: one number for all budgets together.

The area is that of MEMO (Zhou et al., ICLR 2023), on a linear axis in MB. Divided by the span of
the budgets it is a mean accuracy.
"""

from __future__ import annotations

from collections.abc import Sequence

from seit_cl.reporting.grouping import Metric, Series, budget_of, mean_std, series_of
from seit_cl.results.metrics import (
    area_under_curve,
    average_incremental_accuracy,
    final_accuracy,
)
from seit_cl.results.run_files import Run

ACCURACIES: tuple[tuple[str, Metric], ...] = (
    ("final accuracy", final_accuracy),
    ("average incremental accuracy", average_incremental_accuracy),
)


def areas(runs: Sequence[Run], metric: Metric, log: bool = False) -> dict[Series, float]:
    """The area under the mean of a metric against the budget, divided by the span of the budgets.

    Args:
        runs: of one setting.
        metric: of a run's accuracies.
        log: whether the area is over the logarithm of the budget.

    Returns:
        a mean accuracy in percent by series. Only series that have the smallest and the largest
        budget of the setting are listed, and none where these two are the same: over another span,
        the mean is another number.
    """
    budgets = [budget_of(run) for run in runs]
    values: dict[Series, dict[int, list[float]]] = {}
    for run in runs:
        by_budget = values.setdefault(series_of(run), {})
        by_budget.setdefault(budget_of(run), []).append(100 * metric(run.accuracy))
    result = {}
    for series, by_budget in values.items():
        smallest = min(budgets)
        largest = max(budgets)
        if smallest < largest and smallest in by_budget and largest in by_budget:
            x = sorted(by_budget)
            means = [mean_std(by_budget[budget])[0] for budget in x]
            result[series] = area_under_curve(x, means, log)
    return result
