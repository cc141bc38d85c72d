"""Tests between training steps, on a fixed subset of the tested images (--eval-steps).

The subset depends on the data and its size alone: all runs of a comparison are tested on the same
images, whatever their seed and class order.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from seit_cl.data.scenario import Scenario
from seit_cl.results.anytime import ANYTIME_COLUMNS

SUBSET_SEED = 0


class AnytimeSubset:
    """The tested images of every experience and class, at most a given number of each.

    Args:
        stream: the run's.
        labels: (N,) int64, of the split that the run is tested on.
        classes: (N,) int64, the dataset's class indices of the same images, which no class order
            changes.
        per_class: images of each class.

    Attributes:
        ids: (n,) int64 indices into that split, one experience after the other.
    """

    def __init__(self, stream: Scenario, labels: Tensor, classes: Tensor, per_class: int) -> None:
        rank = _ranks(classes.numpy())
        parts = []
        experiences = []
        for experience, ids in enumerate(stream.test):
            chosen = _lowest_of_each_class(ids.numpy(), classes.numpy(), rank, per_class)
            parts.append(torch.from_numpy(chosen))
            experiences.append(torch.full((len(chosen),), experience, dtype=torch.int64))
        self.ids = torch.cat(parts)
        self.labels = labels[self.ids]
        self._experiences = torch.cat(experiences)
        pairs = torch.stack([self._experiences, self.labels], 1)
        self._groups, self._group_of = torch.unique(pairs, dim=0, return_inverse=True)

    def seen(self, position: int) -> int:
        """Number of images, from the first, of the experiences 0..position."""
        return int((self._experiences <= position).sum())

    def rows(self, step: int, position: int, predicted: Tensor) -> Tensor:
        """Rows (r, 6) int64 of anytime.csv, with labels in place of classes' names.

        Args:
            step: number of training steps taken.
            position: index of the experience in training.
            predicted: (seen(position),) int64, labels predicted for the first images.
        """
        count = len(predicted)
        groups = self._group_of[:count]
        is_correct = (predicted == self.labels[:count]).to(torch.int64)
        total = torch.bincount(groups, minlength=len(self._groups))
        correct = torch.zeros_like(total).index_add_(0, groups, is_correct)
        tested = total > 0
        place = torch.tensor([step, position]).expand(int(tested.sum()), 2)
        counts = torch.stack([correct, total], 1)[tested]
        return torch.cat([place, self._groups[tested], counts], 1)


def rows_table(rows: Tensor, class_names: Sequence[str]) -> pd.DataFrame:
    """Rows (r, 6) of `AnytimeSubset.rows` as the table of anytime.csv."""
    table = pd.DataFrame(rows.numpy(), columns=list(ANYTIME_COLUMNS))
    table["class"] = np.array(class_names, dtype=object)[table["class"]]
    return table


def _ranks(classes: np.ndarray) -> np.ndarray:
    """Return for each image (N,) its place in a random order of the images of its class."""
    rank = np.empty(len(classes), np.int64)
    for class_index in np.unique(classes):
        of_class = np.flatnonzero(classes == class_index)
        random = np.random.default_rng([SUBSET_SEED, int(class_index)])
        rank[of_class] = random.permutation(len(of_class))
    return rank


def _lowest_of_each_class(
    ids: np.ndarray, classes: np.ndarray, rank: np.ndarray, per_class: int
) -> np.ndarray:
    """Return those of some images (n,) that rank lowest among those of their class."""
    ordered = ids[np.lexsort((rank[ids], classes[ids]))]
    in_order = classes[ordered]
    starts = np.searchsorted(in_order, in_order)  # where the class of each image begins
    return ordered[np.arange(len(ordered)) - starts < per_class]
