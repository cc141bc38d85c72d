"""Metrics of a run, all of them computed from the rows of its accuracy.csv: step, experience, class, correct, total.

Accuracies are fractions. Where libraries differ, the docstring says whose definition it is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

CONFIDENCE = 0.95


def accuracy_matrix(df: pd.DataFrame) -> np.ndarray:
    """a[t, j]: accuracy at step t on test experience j, (T, T) for T steps so far; nan for j > t and untested."""
    return _accuracies(df, True)


def accuracy_seen(df: pd.DataFrame) -> np.ndarray:
    """(T,) accuracy at each step over all test samples of the experiences learnt by then; nan where not tested."""
    return _accuracies(df, False)


def _accuracies(df: pd.DataFrame, apart: bool) -> np.ndarray:
    """Samples answered correctly of those tested, by step (T,) or by step and experience (T, T), nan where there are none; of
    experiences learnt by then. Counts are exact in float64."""
    step, experience = df["step"].to_numpy(np.int64), df["experience"].to_numpy(np.int64)
    steps = int(step.max()) + 1 if len(step) else 0
    learnt = experience <= step
    cell = (step * steps + experience)[learnt] if apart else step[learnt]
    shape = (steps, steps) if apart else (steps,)
    correct, total = (
        np.bincount(
            cell, weights=df[name].to_numpy(np.float64)[learnt], minlength=math.prod(shape)
        ).reshape(shape)
        for name in ("correct", "total")
    )
    return np.divide(correct, total, out=np.full(shape, np.nan), where=total > 0)


def average_incremental_accuracy(df: pd.DataFrame) -> float:
    """Mean of `accuracy_seen` over the steps tested, the first included (iCaRL); nan when none was."""
    return _mean(accuracy_seen(df))


def final_accuracy(df: pd.DataFrame) -> float:
    """Accuracy over all test samples after the last step; nan when nothing was tested then."""
    seen = accuracy_seen(df)
    return float(seen[-1]) if len(seen) else math.nan


def forgetting(df: pd.DataFrame) -> float:
    """Mean over j < T-1 of max over t of a[t, j], minus a[T-1, j] (PyCIL, Mammoth; Avalanche takes first minus last).

    An experience tested at the last step only has none; nan when no experience has any, as in a joint run.
    """
    a = accuracy_matrix(df)
    drops = [
        np.nanmax(a[:, j]) - a[-1, j] for j in range(len(a) - 1) if not np.isnan(a[:-1, j]).all()
    ]
    return _mean(np.array(drops))


def backward_transfer(df: pd.DataFrame) -> float:
    """Mean over j < T-1 of a[T-1, j] - a[j, j] (Mammoth; Continuum averages all pairs); nan for a joint run.

    An experience that was not tested when it was learnt (--eval-every), or has no test part, is left out.
    """
    a = accuracy_matrix(df)
    return _mean(np.array([a[-1, j] - a[j, j] for j in range(len(a) - 1)]))


def area_under_curve(budgets: Sequence[float], values: Sequence[float], log: bool = False) -> float:
    """Area under values against memory budgets, by trapezoids, divided by the span of the budgets: the mean value over it.

    Args:
        budgets: increasing, in any unit.
        values: one for each.
        log: whether over the logarithm of the budget. MEMO (Zhou et al., ICLR 2023) publishes the area over linear MB, where the
            largest budgets weigh most; over the logarithm every doubling weighs the same.

    Returns:
        nan for less than two budgets.
    """
    x = np.log(budgets) if log else np.asarray(budgets, dtype=float)
    if len(x) < 2:
        return math.nan
    return float(np.trapezoid(values, x) / (x[-1] - x[0]))


def _mean(values: np.ndarray) -> float:
    finite = values[~np.isnan(values)]
    return float(finite.mean()) if finite.size else math.nan


def mean_interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean of the values, and half the width of its 95 % confidence interval by Student's t; nan for that of one value."""
    array = np.asarray(values, dtype=float)
    if array.size < 2:
        return _mean(array), math.nan
    error = float(array.std(ddof=1)) / math.sqrt(array.size)
    return float(array.mean()), float(stats.t.ppf((1 + CONFIDENCE) / 2, array.size - 1)) * error
