"""Rows of tables and lines of figures that show runs with a memory beside runs without one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from seit_cl.reporting.grouping import (
    Series,
    Setting,
    bound_series,
    budget_of,
    rank_in_order,
    series_of,
    setting_of,
)
from seit_cl.results.run_files import Run


class Place(NamedTuple):
    """Settings that the replicates of one row have in common.

    Args:
        setting: dataset, scenario, strategy and learner.
        series: format of the memory, or the strategy in its place.
        budget: bytes of the memory; 0 without one.
    """

    setting: Setting
    series: Series
    budget: int


def line_of(run: Run) -> Series:
    """The series of a run, or the bound of one without a memory."""
    return series_of(run) if budget_of(run) else bound_series(run)


def by_place(runs: Iterable[Run]) -> dict[Place, list[Run]]:
    """Runs by row of a table: settings in order, then budgets, then series by rank."""
    groups: dict[Place, list[Run]] = {}
    for run in runs:
        place = Place(setting_of(run), line_of(run), budget_of(run))
        groups.setdefault(place, []).append(run)
    rank = rank_in_order({place.series for place in groups})
    places = sorted(groups, key=lambda place: (place.setting, place.budget, rank[place.series]))
    return {place: groups[place] for place in places}
