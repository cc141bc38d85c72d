"""What runs measured of the storage of their formats, and the words for a stream: shared by the figure and the table of costs."""

from __future__ import annotations

from typing import NamedTuple

from seit_cl.reporting.cost import Prices, Storage
from seit_cl.reporting.grouping import (
    Series,
    Setting,
    budget_of,
    in_order,
    is_tokens,
    mean_std,
    series_of,
    setting_of,
)
from seit_cl.reporting.phases import core_seconds
from seit_cl.results.metrics import final_accuracy
from seit_cl.results.run_files import Run


class Line(NamedTuple):
    """One format and learner: what was measured, and final accuracy in percent by budget: mean, standard deviation, seeds."""

    key: Series
    storage: Storage
    accuracy: dict[int, tuple[float, float, int]]


def lines_of(shown: list[Run], row: Setting) -> list[Line]:
    """The lines of a setting that kept exemplars."""
    groups: dict[Series, list[Run]] = {}
    for run in shown:
        if setting_of(run) == row and float(run.get("exemplars", 0)) > 0:
            groups.setdefault(series_of(run), []).append(run)
    lines = []
    for key in in_order(groups):
        group = groups[key]
        accuracy = {}
        for size in sorted({budget_of(run) for run in group}):
            ends = [100 * final_accuracy(run.accuracy) for run in group if budget_of(run) == size]
            accuracy[size] = (*mean_std(ends), len(ends))
        each = mean_std([float(run.get("bytes_per_exemplar")) for run in group])[0]
        codec = mean_std([float(run.get("codec_bytes", 0)) for run in group])[0]
        lines.append(Line(key, Storage(each, codec, core_seconds(group, is_tokens(key))), accuracy))
    return lines


def stream(prices: Prices) -> str:
    """What the stream is and what is paid."""
    core = (
        f", {prices.per_core_hour:g} per core-hour of encoding"
        if prices.per_core_hour
        else ", encoding not priced"
    )
    return (
        f"{prices.images_per_day:,.10g} images a day, each kept {prices.retention_months:g} months at {prices.per_gb_month:g} "
        f"per GB and month{core}; in the currency of the prices; codec bytes included once"
    )
