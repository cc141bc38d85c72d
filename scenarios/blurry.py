"""Blurry experiences: disjoint classes appear in one experience, the others in several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from seit_cl.core.errors import UserError
from seit_cl.data.base import Dataset
from seit_cl.data.class_incremental import even_sizes, ordered_classes
from seit_cl.data.scenario import Scenario
from seit_cl.data.scenario_recipe import ScenarioRecipe
from seit_cl.data.settings import StreamSettings
from seit_cl.data.stream_draws import (
    by_first_appearance,
    random_shares,
    refuse_numbers_of_classes,
    stream_generator,
)


@dataclass(frozen=True)
class BlurryOptions:
    """Options of blurry.

    Args:
        disjoint: percent of the classes that appear in one experience only; N in the papers.
        level: percent of the other classes' images that leave their experience; M in the papers.
    """

    disjoint: float = 50.0
    level: float = 10.0

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        for name, value in vars(self).items():
            if not 0 <= value <= 100:
                raise UserError(f"blurry: {name}={value:g}: must be a percentage from 0 to 100")


def class_shares(
    disjoint: int, blurry: int, experiences: int, generator: np.random.RandomState
) -> list[tuple[int, int]]:
    """Numbers of disjoint and of blurry classes in each experience.

    Blurry classes are divided evenly, disjoint ones at random, with at least one class of either
    kind in every experience.

    Args:
        disjoint: number of disjoint classes.
        blurry: number of blurry classes.
        experiences: number of experiences.
        generator: source of the random numbers.

    Raises:
        UserError: fewer classes than experiences.
    """
    if disjoint + blurry < experiences:
        raise UserError(
            f"{disjoint + blurry} classes cannot fill {experiences} experiences; "
            "lower --experiences"
        )
    blurry_shares = even_sizes(blurry, experiences)
    required = [1 if share == 0 else 0 for share in blurry_shares]
    extra = random_shares(disjoint - sum(required), experiences, generator)
    shares = []
    for minimum, more, share in zip(required, extra, blurry_shares, strict=True):
        shares.append((minimum + more, share))
    return shares


def blur(
    parts: Sequence[np.ndarray], moving: int, generator: np.random.RandomState
) -> list[np.ndarray]:
    """Exchange random samples between the parts without changing the size of any.

    Each part gives a random number of samples to a pool and gets as many back from it.

    Args:
        parts: per experience, (n,) sample indices.
        moving: number of samples that all parts together give. A part whose share exceeds its size
            passes the rest on to the next part.
        generator: source of the random numbers.

    Returns:
        Per experience, (n,) sample indices.
    """
    gives = [0] * len(parts)
    left = 0
    shares = random_shares(moving, len(parts), generator)
    # The second round places what the last parts could not take.
    for i, share in [*enumerate(shares), *enumerate([0] * len(parts))]:
        more = min(share + left, len(parts[i]) - gives[i])
        gives[i] += more
        left += share - more
    mixed = [generator.permutation(part) for part in parts]
    given_away = [part[:count] for part, count in zip(mixed, gives, strict=True)]
    pool = generator.permutation(np.concatenate(given_away))
    received = np.split(pool, np.cumsum(gives)[:-1])
    blurred = []
    for part, count, incoming in zip(mixed, gives, received, strict=True):
        blurred.append(np.concatenate([part[count:], incoming]))
    return blurred


class Blurry(ScenarioRecipe):
    """Si-Blurry: random numbers of disjoint classes, and classes whose images leave at random.

    Every experience has a random number of disjoint classes and an equal one of blurry classes;
    `level` percent of the blurry classes' images leave their experience, in random numbers, and are
    dealt over all. The numbers that i-Blurry fixes are random, and no image is left out.
    """

    source = "Moon et al., ICCV 2023 (Si-Blurry), after Koh et al., ICLR 2022 (i-Blurry)"
    stream = "--experiences of overlapping classes in random numbers"
    Options = BlurryOptions
    preset: ClassVar[Mapping[str, Any]] = {"epochs": 1}

    def cut(self, dataset: Dataset, settings: StreamSettings) -> Scenario:
        """The first classes of the order are the disjoint ones; labels follow first appearance."""
        refuse_numbers_of_classes(settings, self.name)
        order = ordered_classes(dataset, settings)
        disjoint = round(len(order) * self.options.disjoint / 100)
        generator = stream_generator(settings, "blurry")
        shares = class_shares(disjoint, len(order) - disjoint, settings.experiences, generator)
        disjoint_ids = []
        blurry_ids = []
        first_disjoint = 0
        first_blurry = disjoint
        for disjoint_share, blurry_share in shares:
            next_disjoint = first_disjoint + disjoint_share
            next_blurry = first_blurry + blurry_share
            disjoint_ids.append(_train_ids(dataset, order[first_disjoint:next_disjoint]))
            blurry_ids.append(_train_ids(dataset, order[first_blurry:next_blurry]))
            first_disjoint = next_disjoint
            first_blurry = next_blurry
        moving = int(sum(map(len, blurry_ids)) * self.options.level / 100)
        train = []
        for fixed, mixed in zip(disjoint_ids, blur(blurry_ids, moving, generator), strict=True):
            train.append(torch.from_numpy(np.sort(np.concatenate([fixed, mixed]))))
        return by_first_appearance(self.name, dataset, order, train, boundaries=False)


def _train_ids(dataset: Dataset, classes: Sequence[int]) -> np.ndarray:
    """(n,) int64 train indices of some classes."""
    members = np.isin(dataset.train.labels.numpy(), classes)
    return np.flatnonzero(members).astype(np.int64)


SCENARIO = Blurry
