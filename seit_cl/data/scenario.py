"""Scenarios as data: the train and test streams of a dataset as index lists, and a class order."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from avalanche.benchmarks import benchmark_from_datasets
from avalanche.benchmarks.utils import as_classification_dataset
from torch import Tensor
from torch.utils.data import TensorDataset

from seit_cl.data.base import Dataset, Split


@dataclass(frozen=True)
class Scenario:
    """Train and test streams of a dataset with C classes as index lists.

    Args:
        name: the scenario's spec.
        class_order: (C,) dataset class indices in the order in which the stream shows them; label y
            of a run is the class class_order[y].
        train: per experience, (n,) int64 indices into the train split.
        test: per experience, (n,) int64 indices into the val split: the samples that the learner is
            tested on from this experience on. Empty where an experience brings nothing new to test.
        classes: per experience, the labels (positions in class_order) of its train samples.
        boundaries: True if the learner may know where an experience ends. If False, one optimiser
            with a constant learning rate goes through the whole stream, and strategies that need
            boundaries are refused.
        accumulates: True if an experience trains on the samples of all experiences so far.
        validates: True if `test` has indices into the train split: a validation part, which no
            experience trains on (`seit_cl.data.validation`).
    """

    name: str
    class_order: tuple[int, ...]
    train: tuple[Tensor, ...]
    test: tuple[Tensor, ...]
    classes: tuple[tuple[int, ...], ...]
    boundaries: bool = True
    accumulates: bool = False
    validates: bool = False

    def __len__(self) -> int:
        return len(self.train)

    def training_ids(self, experience: int) -> Tensor:
        """Indices (n,) into the train split of the samples that an experience trains on."""
        if self.accumulates:
            return torch.cat(self.train[: experience + 1])
        return self.train[experience]

    def seen(self, experience: int) -> int:
        """Number of classes seen after an experience, by its index."""
        return self._seen[experience]

    @cached_property
    def _seen(self) -> tuple[int, ...]:
        seen_by_experience = (1 + max(labels) for labels in self.classes)
        return tuple(itertools.accumulate(seen_by_experience, max))

    @cached_property
    def competitors(self) -> Tensor | None:
        """For every label the classes of its experience, (C, C) bool.

        They are what a learner chooses from that is told a sample's experience. None where
        experiences share classes, so that a class has no experience of its own.
        """
        count = len(self.class_order)
        if sum(len(labels) for labels in self.classes) != count:
            return None
        experience = torch.empty(count, dtype=torch.int64)
        for index, labels in enumerate(self.classes):
            experience[list(labels)] = index
        return experience[:, None] == experience

    def labels(self, dataset_labels: Tensor) -> Tensor:
        """Map dataset labels (N,) to positions in the class order (N,)."""
        position = torch.empty(len(self.class_order), dtype=torch.int64)
        position[list(self.class_order)] = torch.arange(len(self.class_order))
        return position[dataset_labels]

    def joined(self) -> Scenario:
        """All experiences as one, for the joint upper bound."""
        return Scenario(
            name=self.name,
            class_order=self.class_order,
            train=(torch.cat(self.train),),
            test=(torch.cat(self.test),),
            classes=(tuple(itertools.chain.from_iterable(self.classes)),),
            validates=self.validates,
        )

    def accumulated(self) -> Scenario:
        """The same stream, each experience training on all samples so far (cumulative bound)."""
        return replace(self, accumulates=True)

    def tested_split(self, dataset: Dataset) -> Split:
        """The split that `test` has indices into."""
        return dataset.train if self.validates else dataset.val

    def benchmark(self, dataset: Dataset) -> Any:
        """The scenario as an Avalanche benchmark; a sample's input is its index in the split."""
        return benchmark_from_datasets(
            train=_avalanche_stream(self.train, self.labels(dataset.train.labels)),
            test=_avalanche_stream(self.test, self.labels(self.tested_split(dataset).labels)),
        )


def _avalanche_stream(experiences: tuple[Tensor, ...], labels: Tensor) -> list[Any]:
    """Avalanche datasets of (index, label) pairs; `labels` (N,) are those of the whole split."""
    datasets = []
    for ids in experiences:
        data = TensorDataset(ids, labels[ids])
        # Avalanche reads the targets from this attribute.
        data.targets = labels[ids].tolist()  # type: ignore[attr-defined]
        datasets.append(as_classification_dataset(data))
    return datasets
