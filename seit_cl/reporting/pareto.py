"""Means of runs as points of bytes, FLOPs and accuracy, and the best ones at each cost.

Learning is all work but testing, whose share depends on the size of the test set and on how often a
run is tested.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from seit_cl.reporting.grouping import (
    Series,
    Setting,
    bound_series,
    budget_of,
    mean_std,
    mean_value,
    percentages,
    rank_in_order,
    series_of,
    setting_of,
)
from seit_cl.results.metrics import final_accuracy
from seit_cl.results.names import FLOPS_COLUMNS
from seit_cl.results.run_files import Run


@dataclass(frozen=True)
class Point:
    """Means over the runs of one setting, series and budget.

    Args:
        setting: their dataset, scenario and strategy.
        series: their format, learner and variant; of runs without a memory, the strategy in the
            place of the format.
        budget: of the memory in bytes; 0 without one.
        used_bytes: of the memory's file.
        flops: mean of each of FLOPS_COLUMNS, by name.
        steps: training steps.
        accuracy: final, in percent.
        std: its standard deviation.
        runs: the number of runs.
    """

    setting: Setting
    series: Series
    budget: int
    used_bytes: float
    flops: dict[str, float]
    steps: float
    accuracy: float
    std: float
    runs: int

    @property
    def learning_flops(self) -> float:
        """FLOPs of all work but testing."""
        return self.flops["flops_total"] - self.flops["flops_testing"]


def with_flops(runs: Sequence[Run]) -> list[Run]:
    """The runs that recorded their FLOPs, which those of earlier versions did not."""
    return [run for run in runs if run.get("flops_total") is not None]


def left_out_note(runs: Sequence[Run]) -> str:
    """A note on runs without FLOPs, "" where there are none."""
    missing = len(runs) - len(with_flops(runs))
    if not missing:
        return ""
    return f"left out, since they recorded no FLOPs: {missing} of {len(runs)} runs"


def points_of(runs: Sequence[Run]) -> list[Point]:
    """The points of finished runs with FLOPs, by setting, series and budget."""
    groups: dict[tuple[Setting, Series, int], list[Run]] = {}
    for run in runs:
        budget = budget_of(run)
        series = series_of(run) if budget else bound_series(run)
        groups.setdefault((setting_of(run), series, budget), []).append(run)
    rank = rank_in_order({series for _, series, _ in groups})
    points = []
    for place in sorted(groups, key=lambda place: (place[0], rank[place[1]], place[2])):
        members = groups[place]
        mean, std = mean_std(percentages(members, final_accuracy))
        flops = {name: mean_value(members, name) for name in FLOPS_COLUMNS}
        used = mean_value(members, "used_bytes", 0)
        steps = mean_value(members, "steps", 0)
        points.append(Point(*place, used, flops, steps, mean, std, len(members)))
    return points


def pareto_front(costs: Sequence[float], values: Sequence[float]) -> list[int]:
    """The positions of the points that no other point beats, by increasing cost.

    A point is beaten by one of at most its cost and a higher value, or of a lower cost and at least
    its value; of equal points the first remains.

    Args:
        costs: (N,), less is better.
        values: (N,), more is better.
    """
    order = sorted(range(len(costs)), key=lambda i: (costs[i], -values[i], i))
    front: list[int] = []
    for i in order:
        if not front or values[i] > values[front[-1]]:
            front.append(i)
    return front
