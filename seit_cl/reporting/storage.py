"""Storage of formats as runs measured it, for the figure and the table of costs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from seit_cl.reporting.cost import Prices, Storage
from seit_cl.reporting.grouping import (
    Series,
    is_tokens,
    mean_std,
    mean_value,
    of_budget,
    of_series,
    percentages,
    sorted_budgets,
    sorted_series,
    with_exemplars,
)
from seit_cl.reporting.phases import core_seconds
from seit_cl.results.metrics import final_accuracy
from seit_cl.results.run_files import Run


class Accuracy(NamedTuple):
    """Final accuracy over seeds, in percent."""

    mean: float
    std: float
    seeds: int


class MeasuredSeries(NamedTuple):
    """One series with its measured storage, and its accuracy by memory budget in bytes."""

    series: Series
    storage: Storage
    accuracy: dict[int, Accuracy]


def measured_series(runs: Sequence[Run]) -> list[MeasuredSeries]:
    """Measure every series of which a run stored exemplars.

    Args:
        runs: of one setting.
    """
    stored = with_exemplars(runs)
    result = []
    for series in sorted_series(stored):
        group = of_series(stored, series)
        accuracy = {}
        for budget in sorted_budgets(group):
            values = percentages(of_budget(group, budget), final_accuracy)
            accuracy[budget] = Accuracy(*mean_std(values), len(values))
        storage = Storage(
            bytes_each=mean_value(group, "bytes_per_exemplar"),
            codec_bytes=mean_value(group, "codec_bytes", 0),
            core_seconds=core_seconds(group, is_tokens(series)),
        )
        result.append(MeasuredSeries(series, storage, accuracy))
    return result


def budgets_of(measured: Iterable[MeasuredSeries]) -> list[int]:
    """The memory budgets of some series in bytes, increasing."""
    budgets: set[int] = set()
    for each in measured:
        budgets.update(each.accuracy)
    return sorted(budgets)


def describe_stream(prices: Prices) -> str:
    """Describe the stream and its prices."""
    if prices.per_core_hour:
        encoding = f"{prices.per_core_hour:g} per core-hour of encoding"
    else:
        encoding = "encoding not priced"
    return (
        f"{prices.images_per_day:,.10g} images a day, each kept {prices.retention_months:g} months "
        f"at {prices.per_gb_month:g} per GB and month, {encoding}; "
        "in the currency of the prices; codec bytes included once"
    )
