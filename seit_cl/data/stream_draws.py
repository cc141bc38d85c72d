"""Random choices and labels of streams whose experiences do not partition the classes."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from seit_cl.core.errors import UserError
from seit_cl.data.base import Dataset
from seit_cl.data.scenario import Scenario
from seit_cl.data.settings import StreamSettings


def stream_generator(settings: StreamSettings, purpose: str) -> np.random.RandomState:
    """A separate generator for one purpose, seeded from --class-order-seed.

    The legacy generator, because numpy guarantees that its draws never change.
    """
    return np.random.RandomState([settings.class_order_seed, zlib.crc32(purpose.encode())])


def random_shares(total: int, parts: int, generator: np.random.RandomState) -> list[int]:
    """Divide `total` items into shares of random size, cut at parts - 1 uniform positions.

    Args:
        total: number of items.
        parts: number of shares; a share may be 0.
        generator: source of the positions.
    """
    cuts = np.sort(generator.randint(0, total + 1, parts - 1))
    return [int(share) for share in np.diff([0, *cuts, total])]


def refuse_numbers_of_classes(settings: StreamSettings, scenario: str) -> None:
    """Refuse numbers and lists of classes for a scenario whose experiences share classes.

    Raises:
        UserError: one of the options is given.
    """
    given = {
        "--first-classes": settings.first_classes,
        "--experience-classes": settings.experience_classes,
        "--class-lists": settings.class_lists,
    }
    for option, value in given.items():
        if value:
            raise UserError(
                f"{option}: --scenario {scenario} does not use it, since its experiences share "
                "classes; drop it"
            )


def by_first_appearance(
    name: str, dataset: Dataset, order: Sequence[int], train: Sequence[Tensor], boundaries: bool
) -> Scenario:
    """A scenario from its train stream: classes get labels in the order of first appearance.

    A class is tested from the experience in which it first appears.

    Args:
        name: name of the scenario.
        dataset: the dataset that is cut.
        order: dataset class indices; ranks the classes that first appear in the same experience.
        train: per experience, (n,) int64 indices into the train split.
        boundaries: as in Scenario.
    """
    rank = {class_index: position for position, class_index in enumerate(order)}
    label: dict[int, int] = {}
    labels_by_experience = []
    test = []
    for ids in train:
        present = dataset.train.labels[ids].unique().tolist()
        new = sorted((c for c in present if c not in label), key=rank.__getitem__)
        for class_index in new:
            label[class_index] = len(label)
        labels_by_experience.append(tuple(sorted(label[c] for c in present)))
        new_classes = torch.tensor(new, dtype=torch.int64)
        test.append(torch.isin(dataset.val.labels, new_classes).nonzero()[:, 0])
    return Scenario(
        name=name,
        class_order=tuple(label),
        train=tuple(train),
        test=tuple(test),
        classes=tuple(labels_by_experience),
        boundaries=boundaries,
    )
