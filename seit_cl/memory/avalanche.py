"""Between Avalanche's datasets and the memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from avalanche.benchmarks.utils import as_classification_dataset, make_avalanche_dataset
from avalanche.benchmarks.utils.data_attribute import DataAttribute
from torch import Tensor
from torch.utils.data import Dataset

from seit_cl.core.errors import UserError


class DatasetSource:
    """A SampleSource over an Avalanche classification dataset; ids are positions in it.

    Args:
        dataset: items (input, target, ...); an input is pixels (3, S, S) uint8 or a token grid (G, H, W) of integers.
    """

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def labels(self, ids: Tensor) -> Tensor:
        """Labels (B,) int64."""
        return torch.tensor([int(self.dataset.targets[i]) for i in ids.tolist()], dtype=torch.int64)

    def tokens(self, ids: Tensor) -> Tensor:
        """Token grids (B, G, H, W).

        Raises:
            UserError: the dataset's inputs are no integers.
        """
        inputs = torch.stack([torch.as_tensor(self.dataset[i][0]) for i in ids.tolist()])
        if inputs.is_floating_point():
            raise UserError(
                f"the dataset gives {inputs.dtype}; a memory of tokens needs integer token grids"
            )
        return inputs.to(torch.int16)

    def pixels(self, ids: Tensor) -> Tensor:
        """Images (B, 3, S, S) uint8.

        Raises:
            UserError: the dataset's inputs are no uint8.
        """
        inputs = torch.stack([torch.as_tensor(self.dataset[i][0]) for i in ids.tolist()])
        if inputs.dtype != torch.uint8:
            raise UserError(
                f"the dataset gives {inputs.dtype}; a memory of pixels needs uint8 images"
            )
        return inputs

    def files(self, ids: Tensor) -> list[bytes]:
        """Not known here.

        Raises:
            UserError: always: an Avalanche dataset does not say which file a sample came from.
        """
        raise UserError(
            "an Avalanche dataset has no original files; use a format that encodes pixels or tokens"
        )


class _Exemplars(Dataset[tuple[Tensor, int]]):
    """Items (input, label), decoded when asked for."""

    def __init__(self, item: Callable[[int], Tensor], labels: Sequence[int]) -> None:
        self.item = item
        self.labels = labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.item(index), self.labels[index]


def exemplar_dataset(item: Callable[[int], Tensor], labels: Sequence[int]) -> Any:
    """An AvalancheDataset of (input, target, task 0).

    Args:
        item: position -> decoded input.
        labels: N of them.
    """
    targets = DataAttribute(list(labels), "targets")
    tasks = DataAttribute([0] * len(labels), "targets_task_labels", use_in_getitem=True)
    return as_classification_dataset(
        make_avalanche_dataset(_Exemplars(item, labels), data_attributes=[targets, tasks])
    )
