"""Answers of the last test by right and predicted class, for the reports on confusions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from seit_cl.results.run_files import Run


@dataclass(frozen=True)
class Confusion:
    """The answers of a test.

    Args:
        names: (C,) of the classes, in order of arrival.
        experiences: (C,) int64, where each class came first; one after the last experience for a
            class that was answered and never tested.
        counts: (C, C) int64; row: right class, column: predicted class.
    """

    names: Sequence[str]
    experiences: np.ndarray
    counts: np.ndarray

    def shares(self) -> np.ndarray:
        """The counts as shares (C, C) of each row; nan where nothing was tested."""
        total = self.counts.sum(axis=1, keepdims=True)
        return np.divide(
            self.counts, total, out=np.full(self.counts.shape, np.nan), where=total > 0
        )

    def pooled(self, most: int) -> Confusion:
        """The same answers with as many consecutive classes in a row as leaves `most` rows."""
        size = math.ceil(len(self.names) / most)
        if size == 1:
            return self
        starts = np.arange(0, len(self.names), size)
        rows = np.add.reduceat(self.counts, starts, axis=0)
        return Confusion(
            list(self.names[::size]),
            self.experiences[starts],
            np.add.reduceat(rows, starts, axis=1),
        )


def confusion_of(run: Run) -> Confusion:
    """The answers of a run's last test.

    Args:
        run: with rows of confusion.csv.
    """
    order = _arrival(run.accuracy)
    rows = run.confusion
    never_tested = max(order.values(), default=0) + 1
    for name in rows["predicted"].unique():  # of a fixed head, which may answer what never came
        order.setdefault(name, never_tested)
    places = {name: i for i, name in enumerate(order)}
    right = rows["class"].map(places).to_numpy(np.int64)
    predicted = rows["predicted"].map(places).to_numpy(np.int64)
    size = len(order)
    flat = np.bincount(right * size + predicted, weights=rows["count"], minlength=size * size)
    counts = flat.astype(np.int64).reshape(size, size)
    return Confusion(list(order), np.array(list(order.values()), np.int64), counts)


def _arrival(accuracy: pd.DataFrame) -> dict[str, int]:
    """The experience in which each class was first tested, by name, in order of arrival."""
    last = accuracy[accuracy["after_experience"] == accuracy["after_experience"].max()]
    order: dict[str, int] = {}
    for name, experience in zip(last["class"], last["experience"], strict=True):
        order.setdefault(name, int(experience))
    return order
