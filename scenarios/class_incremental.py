"""Class-incremental learning: the classes arrive in experiences that partition them exactly."""

from __future__ import annotations

import itertools

import numpy as np
import torch

from seit_cl.datasets.base import Dataset
from seit_cl.errors import UserError
from seit_cl.scenario import Scenario


def class_order(classes: int, seed: int) -> tuple[int, ...]:
    """The field's class order: numpy's legacy shuffle of 0..classes-1 with that seed (iCaRL and its followers use 1993).

    Args:
        classes: number of classes C.
        seed: of a generator of its own; the global one stays untouched.
    """
    return tuple(int(c) for c in np.random.RandomState(seed).permutation(classes))


def split_sizes(classes: int, experiences: int, first: int) -> list[int]:
    """Classes per experience: `first` in the first (0: as many as in the others), the rest divided as evenly as can be,
    larger experiences first.

    Raises:
        UserError: an experience would have no class.
    """
    if first < 0 or not 1 <= experiences <= classes or (first and classes - first < experiences - 1):
        raise UserError(f"{classes} classes cannot fill {experiences} experiences with {first or 'as many'} in the first; "
                        "lower --experiences or --first-classes")  # fmt: skip
    if first and experiences == 1 and first != classes:
        raise UserError(f"one experience holds all {classes} classes, not {first}; drop --first-classes")
    head = [first] if first else []
    rest, parts = classes - first, experiences - len(head)
    return head + [rest // parts + (i < rest % parts) for i in range(parts)]


def class_incremental(
    dataset: Dataset, experiences: int, first_classes: int, class_order_seed: int, explicit_order: tuple[str, ...]
) -> Scenario:
    """Cut a dataset into class-incremental experiences.

    Args:
        dataset: with C classes.
        experiences: number of experiences.
        first_classes: classes in the first experience; 0 for an even split.
        class_order_seed: of the class order when no explicit one is given.
        explicit_order: all class names in the order wanted, or empty.

    Raises:
        UserError: the explicit order is not a permutation of the classes, or the split is impossible.
    """
    count = len(dataset.classes)
    order = class_order(count, class_order_seed)
    if explicit_order:
        if sorted(explicit_order) != sorted(dataset.classes):
            odd = sorted(set(explicit_order) ^ set(dataset.classes)) or ["a class given twice"]
            raise UserError(f"--class-order must name each of the {count} classes once; look at {', '.join(odd[:3])}")
        order = tuple(dataset.classes.index(name) for name in explicit_order)
    sizes = split_sizes(count, experiences, first_classes)
    bounds = np.cumsum([0, *sizes])
    labels = tuple(tuple(range(a, b)) for a, b in itertools.pairwise(bounds.tolist()))
    members = [torch.tensor([order[label] for label in part]) for part in labels]
    return Scenario(
        name="class-incremental",
        class_order=order,
        train=tuple(torch.isin(dataset.train.labels, part).nonzero()[:, 0] for part in members),
        test=tuple(torch.isin(dataset.val.labels, part).nonzero()[:, 0] for part in members),
        classes=labels,
    )


SCENARIO = class_incremental
