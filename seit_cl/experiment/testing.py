"""Rows of accuracy.csv from the predictions of a test on the stream so far."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from seit_cl.data.scenario import Scenario
from seit_cl.results import run_files


def tested_ids(stream: Scenario, position: int) -> Tensor:
    """Test set indices (n,) of the experiences 0..position, one experience after the other."""
    return torch.cat(stream.test[: position + 1])


def accuracy_rows(
    stream: Scenario,
    position: int,
    predicted: Tensor,
    labels: Tensor,
    class_names: Sequence[str],
    within: Tensor | None = None,
) -> list[dict[str, Any]]:
    """Count the correct predictions of every experience and class so far.

    Args:
        stream: the run's.
        position: index of the experience that was trained on last.
        predicted: (n,) int64, labels of the samples of `tested_ids(stream, position)`.
        labels: (N,) int64, of the whole test set.
        class_names: (C,), by label.
        within: (n,) int64, labels predicted among the classes of each sample's experience; None
            where experiences share classes.
    """
    rows = []
    start = 0
    for tested in range(position + 1):
        ids = stream.test[tested]
        expected = labels[ids]
        part = slice(start, start + len(ids))
        start += len(ids)
        correct = _counts(expected, predicted[part] == expected, class_names)
        total = _counts(expected, torch.ones_like(expected, dtype=torch.bool), class_names)
        correct_within = None
        if within is not None:
            correct_within = _counts(expected, within[part] == expected, class_names)
        rows += run_files.accuracy_rows(position, tested, correct, total, correct_within)
    return rows


def _counts(labels: Tensor, chosen: Tensor, class_names: Sequence[str]) -> dict[str, int]:
    """Number of chosen samples (n,) bool of every class in labels (n,), by class name."""
    counts = {}
    for label in labels.unique().tolist():
        counts[class_names[label]] = int((chosen & (labels == label)).sum())
    return counts
