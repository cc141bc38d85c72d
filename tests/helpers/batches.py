"""Samples, batches and augmentation for tests of the learner."""

from __future__ import annotations

import torch
from torch import Tensor

from seit_cl.learner.augment.draws import Layout, Numbers
from seit_cl.learner.batches import Rows
from seit_cl.memory import Exemplars


def rows_of(inputs: Tensor, labels: Tensor, ids: Tensor | None = None) -> Rows:
    """Raw data (B, ...) with labels (B,) as samples of a step; ids are 0..B-1 if not given."""
    ids = torch.arange(len(labels)) if ids is None else ids
    return Rows(Exemplars(inputs, labels, ids, {}))


class NoAugment:
    """Augmentation that leaves raw data as they are."""

    def layout(self, shape: torch.Size) -> Layout:
        return Layout()

    def __call__(self, raw: Tensor, numbers: Numbers | None = None) -> Tensor:
        return raw

    def mirrored(self, raw: Tensor) -> Tensor | None:
        return None
