"""Rows of accuracy.csv and confusion.csv from the answers of a test on the stream so far."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from seit_cl.data.scenario import Scenario
from seit_cl.learner.inference import Answers
from seit_cl.results import run_writer
from seit_cl.results.names import CONFUSION_COLUMNS


def tested_ids(stream: Scenario, position: int) -> Tensor:
    """Test set indices (n,) of the experiences 0..position, one experience after the other."""
    return torch.cat(stream.test[: position + 1])


def accuracy_rows(
    stream: Scenario,
    position: int,
    answers: Answers,
    labels: Tensor,
    class_names: Sequence[str],
) -> list[dict[str, Any]]:
    """Count the correct answers of every experience and class so far.

    Args:
        stream: the run's.
        position: index of the experience that was trained on last.
        answers: for the samples of `tested_ids(stream, position)`.
        labels: (N,) int64, of the whole test set.
        class_names: (C,), by label.
    """
    rows = []
    start = 0
    for tested in range(position + 1):
        ids = stream.test[tested]
        expected = labels[ids]
        part = slice(start, start + len(ids))
        start += len(ids)
        correct = _counts(expected, answers.predicted[part] == expected, class_names)
        total = _counts(expected, torch.ones_like(expected, dtype=torch.bool), class_names)
        in_top = _counts(expected, answers.in_top[part], class_names)
        correct_within = None
        if answers.within is not None:
            correct_within = _counts(expected, answers.within[part] == expected, class_names)
        rows += run_writer.accuracy_rows(position, tested, correct, total, correct_within, in_top)
    return rows


def _counts(labels: Tensor, chosen: Tensor, class_names: Sequence[str]) -> dict[str, int]:
    """Number of chosen samples (n,) bool of every class in labels (n,), by class name."""
    present = labels.unique().tolist()
    of_class = torch.bincount(labels[chosen], minlength=len(class_names)).tolist()
    counts: dict[str, int] = {}
    for label in present:
        name = class_names[label]
        counts[name] = counts.get(name, 0) + of_class[label]
    return counts


def confusion_counts(expected: Tensor, predicted: Tensor, classes: int) -> Tensor:
    """Count the answers of a test by right class and predicted one.

    Args:
        expected: (n,) int64, right labels.
        predicted: (n,) int64, labels of the answers.
        classes: number of labels.

    Returns:
        (r, 3) int64: right label, predicted one and their count, in the order of the labels,
        without those that never come together.
    """
    pairs, counts = torch.unique(expected * classes + predicted, return_counts=True)
    return torch.stack([pairs // classes, pairs % classes, counts], 1)


def confusion_table(counts: Tensor, class_names: Sequence[str]) -> pd.DataFrame:
    """Rows (r, 3) of `confusion_counts` as the table of confusion.csv."""
    table = pd.DataFrame(counts.numpy(), columns=list(CONFUSION_COLUMNS))
    names = np.array(class_names, dtype=object)
    for column in ("class", "predicted"):
        table[column] = names[table[column]]
    # Some data have two classes of one name.
    return table.groupby(["class", "predicted"], sort=False)["count"].sum().reset_index()
