"""A scenario: how a dataset is cut into a benchmark. Pure data: index lists and a class order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from avalanche.benchmarks import benchmark_from_datasets
from avalanche.benchmarks.utils import as_classification_dataset
from torch import Tensor
from torch.utils.data import TensorDataset

from seit_cl.datasets.base import Dataset


@dataclass(frozen=True)
class Scenario:
    """Train and test streams as index lists.

    Args:
        name: as on the command line.
        class_order: dataset class indices in the order in which the stream shows them; a label y of the run is the
            class class_order[y].
        train: per experience, (n,) int64 indices into the train split.
        test: per experience, (n,) int64 indices into the val split.
        classes: per experience, the labels (positions in class_order) that it shows.
    """

    name: str
    class_order: tuple[int, ...]
    train: tuple[Tensor, ...]
    test: tuple[Tensor, ...]
    classes: tuple[tuple[int, ...], ...]

    def __len__(self) -> int:
        return len(self.train)

    def seen(self, step: int) -> int:
        """Number of classes seen after experience `step`."""
        return 1 + max(label for labels in self.classes[: step + 1] for label in labels)

    def labels(self, dataset_labels: Tensor) -> Tensor:
        """Dataset labels (N,) as positions in the class order (N,)."""
        position = torch.empty(len(self.class_order), dtype=torch.int64)
        position[list(self.class_order)] = torch.arange(len(self.class_order))
        return position[dataset_labels]

    def joined(self) -> Scenario:
        """All experiences as one: the joint bound."""
        classes = tuple(label for labels in self.classes for label in labels)
        return Scenario(self.name, self.class_order, (torch.cat(self.train),), (torch.cat(self.test),), (classes,))

    def benchmark(self, dataset: Dataset) -> Any:
        """The scenario as an Avalanche benchmark; a sample's input is its index in the split."""

        def stream(parts: tuple[Tensor, ...], labels: Tensor) -> list[Any]:
            return [as_classification_dataset(_targeted(part, labels[part])) for part in parts]

        return benchmark_from_datasets(
            train=stream(self.train, self.labels(dataset.train.labels)),
            test=stream(self.test, self.labels(dataset.val.labels)),
        )


def _targeted(ids: Tensor, labels: Tensor) -> TensorDataset:
    data = TensorDataset(ids, labels)
    data.targets = labels.tolist()  # type: ignore[attr-defined]  # Avalanche reads the targets from here
    return data
