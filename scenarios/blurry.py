"""Blurry experiences: some classes in one experience only, the others mostly in one and a little in all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from seit_cl.core.errors import UserError
from seit_cl.data.base import Dataset
from seit_cl.data.scenario import Cut, Scenario, ScenarioKind
from seit_cl.scenarios._streams import (
    by_first_appearance,
    generator,
    random_shares,
    refuse_first_classes,
)
from seit_cl.scenarios.class_incremental import ordered_classes, split_sizes


@dataclass(frozen=True)
class BlurryOptions:
    """Options of blurry.

    Args:
        disjoint: percent of the classes that show up in one experience only: the papers' N.
        level: percent of the other classes' images that leave their own experience: the papers' M.
    """

    disjoint: float = 50.0
    level: float = 10.0

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        for name, value in vars(self).items():
            if not 0 <= value <= 100:
                raise UserError(f"blurry: {name}={value:g}: percent, from 0 to 100")


def class_shares(
    disjoint: int, blurry: int, experiences: int, draw: np.random.RandomState
) -> list[tuple[int, int]]:
    """Disjoint and blurry classes of every experience: the first in random numbers, the second as even as can be.

    Raises:
        UserError: fewer classes than experiences, each of which has one at least.
    """
    if disjoint + blurry < experiences:
        raise UserError(
            f"{disjoint + blurry} classes cannot fill {experiences} experiences; lower --experiences"
        )
    even = (
        split_sizes(blurry, experiences, 0)
        if blurry >= experiences
        else [1] * blurry + [0] * (experiences - blurry)
    )
    needed = [int(share == 0) for share in even]
    more = random_shares(disjoint - sum(needed), experiences, draw)
    return [(need + share, own) for need, share, own in zip(needed, more, even, strict=True)]


def blur(parts: Sequence[np.ndarray], moving: int, draw: np.random.RandomState) -> list[np.ndarray]:
    """Samples of the parts change places: each part gives a random number of samples drawn at random, and gets as many
    back of all that were given, so that no part changes its size.

    Args:
        parts: per experience, (n,) sample indices.
        moving: samples given by all parts together; a part that is to give more than it has leaves the rest to the next.
        draw: the generator.
    """
    gives, left = [0] * len(parts), 0
    shares = random_shares(moving, len(parts), draw)
    for i, share in [*enumerate(shares), *enumerate([0] * len(parts))]:
        more = min(share + left, len(parts[i]) - gives[i])
        gives[i], left = gives[i] + more, left + share - more
    mixed = [draw.permutation(part) for part in parts]
    pool = draw.permutation(
        np.concatenate([part[:give] for part, give in zip(mixed, gives, strict=True)])
    )
    back = np.split(pool, np.cumsum(gives)[:-1])
    return [
        np.concatenate([part[give:], got])
        for part, give, got in zip(mixed, gives, back, strict=True)
    ]


class Blurry(ScenarioKind):
    """Si-Blurry: disjoint classes in random numbers an experience; of the others' images `level` percent leave their own
    experience, in random numbers, and are dealt over all. What i-Blurry fixes is random; no image is left out."""

    source = "Moon et al., ICCV 2023 (Si-Blurry), after Koh et al., ICLR 2022 (i-Blurry)"
    shape = "--experiences of overlapping classes in random numbers"
    Options = BlurryOptions
    preset: ClassVar[Mapping[str, Any]] = {"epochs": 1}

    def cut(self, dataset: Dataset, cut: Cut) -> Scenario:
        """The first classes of the order are the disjoint ones; labels follow the first appearance in the stream."""
        refuse_first_classes(cut, self.name)
        order = ordered_classes(dataset, cut)
        disjoint = round(len(order) * self.options.disjoint / 100)
        draw = generator(cut, "blurry")
        shares = class_shares(disjoint, len(order) - disjoint, cut.experiences, draw)
        alone, rest = iter(order[:disjoint]), iter(order[disjoint:])
        own = [_samples(dataset, [next(alone) for _ in range(share)]) for share, _ in shares]
        shared = [_samples(dataset, [next(rest) for _ in range(share)]) for _, share in shares]
        moving = int(sum(map(len, shared)) * self.options.level / 100)
        train: list[Tensor] = []
        for fixed, part in zip(own, blur(shared, moving, draw), strict=True):
            train.append(torch.from_numpy(np.sort(np.concatenate([fixed, part]))))
        return by_first_appearance(self.name, dataset, order, train, boundaries=False)


def _samples(dataset: Dataset, classes: list[int]) -> np.ndarray:
    """(n,) int64 train indices of some classes."""
    return np.flatnonzero(np.isin(dataset.train.labels.numpy(), classes)).astype(np.int64)


SCENARIO = Blurry
