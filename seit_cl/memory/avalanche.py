"""Adapters between Avalanche's datasets and the memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from avalanche.benchmarks.utils import as_classification_dataset, make_avalanche_dataset
from avalanche.benchmarks.utils.data_attribute import DataAttribute
from torch import Tensor
from torch.utils.data import Dataset

from seit_cl.core.errors import UserError
from seit_cl.formats._records import Records
from seit_cl.memory.store import ExemplarStore


class DatasetSource:
    """A SampleSource over an Avalanche classification dataset; ids are positions in the dataset.

    Args:
        dataset: has items (input, target, ...), where the input is an image (3, S, S) uint8 or a
            token grid (G, H, W) of integers.
    """

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def labels(self, ids: Tensor) -> Tensor:
        """Return labels (B,) int64."""
        labels = [int(self.dataset.targets[index]) for index in ids.tolist()]
        return torch.tensor(labels, dtype=torch.int64)

    def tokens(self, ids: Tensor) -> Tensor:
        """Return token grids (B, G, H, W) int16.

        Raises:
            UserError: the dataset's inputs are not integers.
        """
        inputs = self._inputs(ids)
        if inputs.is_floating_point():
            raise UserError(
                f"the dataset gives {inputs.dtype}; a memory of tokens needs integer token grids"
            )
        return inputs.to(torch.int16)

    def pixels(self, ids: Tensor) -> Tensor:
        """Return images (B, 3, S, S) uint8.

        Raises:
            UserError: the dataset's inputs are not uint8.
        """
        inputs = self._inputs(ids)
        if inputs.dtype != torch.uint8:
            raise UserError(
                f"the dataset gives {inputs.dtype}; a memory of pixels needs uint8 images"
            )
        return inputs

    def files(self, ids: Tensor) -> list[bytes]:
        """Refuse: Avalanche datasets have no original files.

        Raises:
            UserError: always.
        """
        raise UserError(
            "an Avalanche dataset has no original files; use a format that encodes pixels or tokens"
        )

    def _inputs(self, ids: Tensor) -> Tensor:
        """Return inputs (B, ...) as the dataset gives them."""
        return torch.stack([torch.as_tensor(self.dataset[index][0]) for index in ids.tolist()])


class _Exemplars(Dataset[tuple[Tensor, int]]):
    """Items (input, label); inputs are made on request."""

    def __init__(self, item: Callable[[int], Tensor], labels: Sequence[int]) -> None:
        self.item = item
        self.labels = labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.item(index), self.labels[index]


def exemplar_dataset(item: Callable[[int], Tensor], labels: Sequence[int]) -> Any:
    """Build an AvalancheDataset of (input, target, task 0).

    Args:
        item: maps a position 0..N-1 to an input.
        labels: (N,).
    """
    targets = DataAttribute(list(labels), "targets")
    tasks = DataAttribute([0] * len(labels), "targets_task_labels", use_in_getitem=True)
    return as_classification_dataset(
        make_avalanche_dataset(_Exemplars(item, labels), data_attributes=[targets, tasks])
    )


def snapshot(store: ExemplarStore) -> Any:
    """Copy the present exemplars into an AvalancheDataset of (input, target, task 0).

    Transformed inputs are copied as they are, others as records that are decoded on request.
    """
    labels = store.labels().tolist()
    decoded = store.decoded
    if decoded.transform is not None:
        inputs = decoded.inputs(store.slots.order())
        return exemplar_dataset(inputs.__getitem__, labels)
    records = store.records()

    def item(index: int) -> Tensor:
        position = slice(index, index + 1)
        record = Records(records.data, records.offsets[position], records.lengths[position])
        return decoded.fmt.decode(record)[0]

    return exemplar_dataset(item, labels)
