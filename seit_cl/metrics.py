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
    steps = int(df["step"].max()) + 1 if len(df) else 0
    matrix = np.full((steps, steps), np.nan)
    for (t, j), (correct, total) in _counts(df, ["step", "experience"]):
        matrix[t, j] = correct / total
    return matrix


def accuracy_seen(df: pd.DataFrame) -> np.ndarray:
    """(T,) accuracy at each step over all test samples of the experiences learnt by then; nan where not tested."""
    seen = np.full(int(df["step"].max()) + 1 if len(df) else 0, np.nan)
    for (t,), (correct, total) in _counts(df, ["step"]):
        seen[t] = correct / total
    return seen


def _counts(df: pd.DataFrame, by: list[str]) -> list[tuple[tuple[int, ...], tuple[int, int]]]:
    """(key, (correct, total)) summed over rows of experiences learnt by then, where anything was tested."""
    sums = df[df["experience"] <= df["step"]].groupby(by)[["correct", "total"]].sum()
    keys = [k if isinstance(k, tuple) else (k,) for k in sums.index]
    pairs = zip(keys, sums.to_numpy().tolist(), strict=True)
    return [(tuple(int(i) for i in key), (c, n)) for key, (c, n) in pairs if n]


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
    drops = [np.nanmax(a[:, j]) - a[-1, j] for j in range(len(a) - 1) if not np.isnan(a[:-1, j]).all()]
    return _mean(np.array(drops))


def backward_transfer(df: pd.DataFrame) -> float:
    """Mean over j < T-1 of a[T-1, j] - a[j, j] (Mammoth; Continuum averages all pairs); nan for a joint run.

    An experience that was not tested when it was learnt (--eval-every), or has no test part, is left out.
    """
    a = accuracy_matrix(df)
    return _mean(np.array([a[-1, j] - a[j, j] for j in range(len(a) - 1)]))


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
