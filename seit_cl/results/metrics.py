"""Metrics of a run, computed from the rows of its accuracy.csv.

Accuracies are fractions. Where libraries define a metric differently, the docstring names the one
followed. T is the number of experiences trained on so far.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

WITHIN = "correct_within_experience"  # column of accuracy.csv, where experiences share no class
TOP5 = "correct_in_top5"  # column of accuracy.csv; earlier versions wrote none
TOP5_CLASSES = 10  # with no more classes, half of all guesses are among the first five


def accuracy_matrix(rows: pd.DataFrame) -> np.ndarray:
    """Return a[t, j], the accuracy after experience t on the test samples of experience j.

    Args:
        rows: of accuracy.csv.

    Returns:
        (T, T) float64; nan for j > t and where nothing was tested.
    """
    after, experience, size = _indices(rows)
    learnt = experience <= after
    cells = (after * size + experience)[learnt]
    correct = _sums(cells, rows["correct"].to_numpy()[learnt], size * size)
    total = _sums(cells, rows["total"].to_numpy()[learnt], size * size)
    return _ratio(correct, total).reshape(size, size)


def accuracy_seen(rows: pd.DataFrame, column: str = "correct") -> np.ndarray:
    """Return the accuracy after each experience over all test samples of the experiences so far.

    Args:
        rows: of accuracy.csv.
        column: has the numbers of correct answers.

    Returns:
        (T,) float64; nan where nothing was tested.
    """
    after, experience, size = _indices(rows)
    learnt = experience <= after
    cells = after[learnt]
    correct = _sums(cells, rows[column].to_numpy()[learnt], size)
    total = _sums(cells, rows["total"].to_numpy()[learnt], size)
    return _ratio(correct, total)


def tested_images(rows: pd.DataFrame) -> int:
    """Return the number of test images behind the accuracy after the last experience, at least 1.

    Args:
        rows: of accuracy.csv.
    """
    after, experience, size = _indices(rows)
    last = (after == size - 1) & (experience <= after)
    return max(1, int(rows["total"].to_numpy()[last].sum()))


def task_incremental_seen(rows: pd.DataFrame) -> np.ndarray:
    """Return `accuracy_seen` of answers among the classes of each sample's experience.

    The learner is told the experience: task-incremental learning (van de Ven and Tolias, 2019).

    Returns:
        (T,) float64; empty where the run did not count such answers, because its experiences share
        classes or an earlier version made it.
    """
    if WITHIN not in rows:
        return np.empty(0)
    return accuracy_seen(rows, WITHIN)


def _indices(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, int]:
    """Return the columns after_experience and experience (N,), and T."""
    after = rows["after_experience"].to_numpy(np.int64)
    experience = rows["experience"].to_numpy(np.int64)
    size = int(after.max()) + 1 if len(after) else 0
    return after, experience, size


def _sums(cells: np.ndarray, counts: np.ndarray, size: int) -> np.ndarray:
    """Return the sums of counts by cell, (size,) float64, which holds such counts exactly."""
    return np.bincount(cells, weights=counts.astype(np.float64), minlength=size)


def _ratio(correct: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Return correct / total, nan where total is 0."""
    return np.divide(correct, total, out=np.full(total.shape, np.nan), where=total > 0)


def final_accuracy(rows: pd.DataFrame) -> float:
    """Return the accuracy over all test samples after the last experience; nan if not tested."""
    seen = accuracy_seen(rows)
    return float(seen[-1]) if len(seen) else math.nan


def average_incremental_accuracy(rows: pd.DataFrame) -> float:
    """Return the mean of `accuracy_seen` over the tests, the first included (iCaRL, CVPR 2017)."""
    return _mean(accuracy_seen(rows))


def final_task_incremental_accuracy(rows: pd.DataFrame) -> float:
    """Return `final_accuracy` of answers among the classes of each sample's experience, or nan."""
    seen = task_incremental_seen(rows)
    return float(seen[-1]) if len(seen) else math.nan


def average_task_incremental_accuracy(rows: pd.DataFrame) -> float:
    """Return the mean of `task_incremental_seen` over the tests; nan where there are none."""
    return _mean(task_incremental_seen(rows))


def final_top5_accuracy(rows: pd.DataFrame) -> float:
    """Return the share of test samples whose class is among the five likeliest in the end.

    Nan with up to TOP5_CLASSES classes, and where the run did not count such answers.
    """
    if TOP5 not in rows:
        return math.nan
    after, experience, size = _indices(rows)
    last = (after == size - 1) & (experience <= after)
    if rows["class"][last].nunique() <= TOP5_CLASSES:
        return math.nan
    return float(accuracy_seen(rows, TOP5)[-1])


def forgetting(rows: pd.DataFrame) -> float:
    """Return the mean over j < T - 1 of max over t of a[t, j], minus a[T - 1, j].

    As in PyCIL and Mammoth; Avalanche takes the first accuracy minus the last. An experience that
    was tested after the last one only is left out; nan when none is left, as in a joint run.
    """
    matrix = accuracy_matrix(rows)
    drops = []
    for j in range(len(matrix) - 1):
        earlier = matrix[:-1, j]
        if not np.isnan(earlier).all():
            drops.append(np.nanmax(matrix[:, j]) - matrix[-1, j])
    return _mean(np.array(drops))


def backward_transfer(rows: pd.DataFrame) -> float:
    """Return the mean over j < T - 1 of a[T - 1, j] - a[j, j]; nan for a joint run.

    As in Mammoth; Continuum averages all pairs. An experience that was not tested when it was
    learnt (--eval-every), or has no test samples, is left out.
    """
    matrix = accuracy_matrix(rows)
    changes = [matrix[-1, j] - matrix[j, j] for j in range(len(matrix) - 1)]
    return _mean(np.array(changes))


METRICS: dict[str, Callable[[pd.DataFrame], float]] = {
    "final_accuracy": final_accuracy,
    "average_incremental_accuracy": average_incremental_accuracy,
    "forgetting": forgetting,
    "backward_transfer": backward_transfer,
    "final_task_incremental_accuracy": final_task_incremental_accuracy,
    "average_task_incremental_accuracy": average_task_incremental_accuracy,
    "final_top5_accuracy": final_top5_accuracy,
}


def area_under_curve(budgets: Sequence[float], values: Sequence[float], log: bool = False) -> float:
    """Return the area under values against memory budgets divided by the span of the budgets.

    By trapezoids; that is the mean value over the span.

    Args:
        budgets: increasing, in any unit.
        values: one for each budget.
        log: take the logarithm of the budgets, so that every doubling weighs the same. MEMO (Zhou
            et al., ICLR 2023) publishes the area over linear MB, where large budgets weigh most.

    Returns:
        nan for fewer than two budgets.
    """
    x = np.log(budgets) if log else np.asarray(budgets, dtype=float)
    if len(x) < 2:
        return math.nan
    return float(np.trapezoid(values, x) / (x[-1] - x[0]))


def _mean(values: np.ndarray) -> float:
    """Return the mean of the values that are not nan; nan when there are none."""
    finite = values[~np.isnan(values)]
    return float(finite.mean()) if finite.size else math.nan
