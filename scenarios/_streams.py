"""What streams of other kinds share: their generators, random shares, and labels in the order of first appearance."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from seit_cl.core.errors import UserError
from seit_cl.data.base import Dataset
from seit_cl.data.scenario import Cut, Scenario


def generator(cut: Cut, purpose: str) -> np.random.RandomState:
    """A generator of its own for one purpose, from --class-order-seed. Numpy never changes what its legacy ones draw."""
    return np.random.RandomState([cut.class_order_seed, zlib.crc32(purpose.encode())])


def random_shares(total: int, parts: int, draw: np.random.RandomState) -> list[int]:
    """`total` things in `parts` shares of random size, 0 among them: cut at parts - 1 places drawn uniformly."""
    cuts = np.sort(draw.randint(0, total + 1, parts - 1))
    return [int(share) for share in np.diff([0, *cuts, total])]


def refuse_first_classes(cut: Cut, name: str) -> None:
    """Raises UserError where --first-classes is given to a scenario in which it means nothing."""
    if cut.first_classes:
        raise UserError(
            f"--first-classes {cut.first_classes}: --scenario {name} has no such thing; drop it"
        )


def by_first_appearance(
    name: str, dataset: Dataset, order: Sequence[int], train: Sequence[Tensor], boundaries: bool
) -> Scenario:
    """A scenario from its train stream: a class gets its label, and is tested on from then on, where it first appears.

    Args:
        name: of the scenario.
        dataset: what is cut.
        order: dataset class indices; of the classes that an experience brings together, the earlier one here comes first.
        train: per experience, (n,) int64 indices into the train split.
        boundaries: as in Scenario.
    """
    place = {c: i for i, c in enumerate(order)}
    shown = [dataset.train.labels[ids].unique().tolist() for ids in train]
    appeared: list[int] = []
    fresh: list[list[int]] = []
    for classes in shown:
        fresh.append(sorted(set(classes) - set(appeared), key=place.__getitem__))
        appeared += fresh[-1]
    label = {c: i for i, c in enumerate(appeared)}
    return Scenario(
        name=name,
        class_order=tuple(appeared),
        train=tuple(train),
        test=tuple(
            torch.isin(dataset.val.labels, torch.tensor(new, dtype=torch.int64)).nonzero()[:, 0]
            for new in fresh
        ),
        classes=tuple(tuple(sorted(label[c] for c in classes)) for classes in shown),
        boundaries=boundaries,
    )
