"""Metrics of tests between training steps, computed from the rows of a run's anytime.csv.

A row counts correct answers for one class of one experience after a training step. E_j are the
tested images of experience j, k is the number of experiences seen so far.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pandas as pd

ANYTIME_COLUMNS = ("step", "in_experience", "experience", "class", "correct", "total")


def accuracy_by_step(rows: pd.DataFrame) -> pd.Series:
    """Return the accuracy over all tested images of the experiences so far, by training step."""
    counts = rows.groupby("step")[["correct", "total"]].sum()
    return counts["correct"] / counts["total"]


def average_anytime_accuracy(rows: pd.DataFrame) -> float:
    """Return the mean of `accuracy_by_step` (Caccia et al., ICLR 2022; Koh et al., ICLR 2022)."""
    return float(accuracy_by_step(rows).mean())


def minimum_accuracy(rows: pd.DataFrame) -> float:
    """Return min-ACC: the mean over earlier experiences of their lowest accuracy since learnt.

    De Lange et al., "Continual evaluation for lifelong learning: Identifying the stability gap",
    ICLR 2023. Only steps of later experiences count; nan where there are none, as in joint runs.
    """
    lowest = []
    for experience, accuracy in _by_experience(rows).items():
        later = accuracy[accuracy.index.get_level_values("in_experience") > experience]
        if len(later):
            lowest.append(later.min())
    return float(np.mean(lowest)) if lowest else math.nan


def worst_case_accuracy(rows: pd.DataFrame) -> float:
    """Return WC-ACC after the last step: A(E_k) / k + (1 - 1 / k) min-ACC (De Lange et al.)."""
    minimum = minimum_accuracy(rows)
    by_experience = _by_experience(rows)
    seen = len(by_experience)
    if math.isnan(minimum) or seen < 2:
        return math.nan
    newest = by_experience[max(by_experience)]
    return float(newest.iloc[-1]) / seen + (1 - 1 / seen) * minimum


def stability_gap(rows: pd.DataFrame) -> float:
    """Return the mean depth of the drops from which earlier experiences recover.

    De Lange et al. name the phenomenon and give no formula. Here the accuracy on the images tested
    before an experience is followed through it: the lower one of its value before and at the end,
    minus its minimum in between. So it is what tests between experiences miss, and lasting
    forgetting is no part of it. Experiences with fewer than two tests are left out.
    """
    gaps = []
    for trained in sorted(rows["in_experience"].unique()):
        earlier = rows[rows["in_experience"] < trained]
        during = rows[rows["in_experience"] == trained]
        if earlier.empty or during["step"].nunique() < 2:
            continue
        last = earlier[earlier["step"] == earlier["step"].max()]
        before = float(last["correct"].sum() / last["total"].sum())
        on_same = during[during["experience"].isin(last["experience"])]
        accuracy = accuracy_by_step(on_same)
        ends = min(before, float(accuracy.iloc[-1]))
        gaps.append(max(0.0, ends - float(accuracy.min())))
    return float(np.mean(gaps)) if gaps else math.nan


def _by_experience(rows: pd.DataFrame) -> dict[int, pd.Series]:
    """Return A(E_j) by j, each with an index of in_experience and step, in the order of steps."""
    keys = ["experience", "in_experience", "step"]
    counts = rows.groupby(keys)[["correct", "total"]].sum()
    accuracy = counts["correct"] / counts["total"]
    experiences = accuracy.index.get_level_values("experience").unique()
    return {int(experience): accuracy.loc[experience] for experience in experiences}


ANYTIME_METRICS: dict[str, Callable[[pd.DataFrame], float]] = {
    "average_anytime_accuracy": average_anytime_accuracy,
    "worst_case_accuracy": worst_case_accuracy,
    "minimum_accuracy": minimum_accuracy,
    "stability_gap": stability_gap,
}
