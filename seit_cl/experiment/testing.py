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
) -> list[dict[str, Any]]:
    """Count the correct predictions of every experience and class so far.

    Args:
        stream: the run's.
        position: index of the experience that was trained on last.
        predicted: (n,) int64, labels of the samples of `tested_ids(stream, position)`.
        labels: (N,) int64, of the whole test set.
        class_names: (C,), by label.
    """
    rows = []
    start = 0
    for tested in range(position + 1):
        ids = stream.test[tested]
        expected = labels[ids]
        is_correct = predicted[start : start + len(ids)] == expected
        start += len(ids)
        correct = {}
        total = {}
        for label in expected.unique().tolist():
            of_label = expected == label
            correct[class_names[label]] = int((is_correct & of_label).sum())
            total[class_names[label]] = int(of_label.sum())
        rows += run_files.accuracy_rows(position, tested, correct, total)
    return rows
