"""Differences between two formats over pairs of runs with the same budget and seed."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from seit_cl.reporting.grouping import Series, Setting, budget_of, series_of, setting_of
from seit_cl.results.intervals import claimed, difference_interval
from seit_cl.results.metrics import final_accuracy, tested_images
from seit_cl.results.replicates import Replicate, replicate_of, replication_text
from seit_cl.results.run_files import Run


class Difference(NamedTuple):
    """The difference in final accuracy between two series at one budget.

    Args:
        points: mean over pairs, in percentage points.
        half: half the width of its 95 % confidence interval (`difference_interval`); nan for a
            single pair.
        replicates: the seeds and class orders that both series have, one for each pair.
    """

    points: float
    half: float
    replicates: tuple[Replicate, ...]

    @property
    def pairs(self) -> int:
        """The number of pairs."""
        return len(self.replicates)

    @property
    def is_claim(self) -> bool:
        """True if there are enough pairs and the interval leaves out 0."""
        return claimed(self.points, self.half, self.pairs)


def differences(
    runs: Sequence[Run], setting: Setting, series: Series, other: Series
) -> dict[int, Difference]:
    """Final accuracy of one series minus that of another, at every budget that has a pair.

    Args:
        runs: finished, with a memory.
        setting: runs of other settings are left out.
        series: the minuend.
        other: the subtrahend.

    Returns:
        differences by budget in bytes, increasing.
    """
    accuracies: dict[Series, dict[tuple[int, Replicate], float]] = {series: {}, other: {}}
    images = sys.maxsize
    for run in runs:
        if setting_of(run) == setting and series_of(run) in accuracies:
            place = budget_of(run), replicate_of(run)
            accuracies[series_of(run)][place] = final_accuracy(run.accuracy)
            images = min(images, tested_images(run.accuracy))
    by_budget: dict[int, dict[Replicate, float]] = {}
    for place in sorted(accuracies[series].keys() & accuracies[other].keys()):
        budget, replicate = place
        gain = accuracies[series][place] - accuracies[other][place]
        by_budget.setdefault(budget, {})[replicate] = gain
    result = {}
    for budget, gains in by_budget.items():
        replicates = tuple(gains)
        mean, half = difference_interval(list(gains.values()), replicates, images)
        result[budget] = Difference(100 * mean, 100 * half, replicates)
    return result


def pairs_text(compared: Iterable[Difference]) -> str:
    """Describe how the pairs behind some differences vary (`replication_text`)."""
    return replication_text([difference.replicates for difference in compared])
