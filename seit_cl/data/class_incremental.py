"""Class-incremental streams: class orders, and experiences that partition the classes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from seit_cl.core.errors import UserError
from seit_cl.data.base import Dataset
from seit_cl.data.scenario import Scenario
from seit_cl.data.scenario_recipe import ScenarioContext, ScenarioRecipe
from seit_cl.data.settings import StreamSettings


def class_order(classes: int, seed: int) -> tuple[int, ...]:
    """The field's class order: numpy's legacy shuffle of 0..C-1, as in iCaRL and its followers.

    Args:
        classes: number of classes C.
        seed: seed of a separate generator, 1993 in the literature; the global one stays untouched.
    """
    return tuple(int(c) for c in np.random.RandomState(seed).permutation(classes))


def ordered_classes(dataset: Dataset, settings: StreamSettings) -> tuple[int, ...]:
    """The class order of the settings: the explicit one, or that of the seed.

    Raises:
        UserError: the explicit order is not a permutation of the classes.
    """
    count = len(dataset.classes)
    explicit = settings.class_order
    if not explicit:
        return class_order(count, settings.class_order_seed)
    if sorted(explicit) != sorted(dataset.classes):
        odd = sorted(set(explicit) ^ set(dataset.classes)) or ["a class is named twice"]
        raise UserError(
            f"--class-order must name each of the {count} classes once; check {', '.join(odd[:3])}"
        )
    return tuple(dataset.classes.index(name) for name in explicit)


def split_sizes(classes: int, experiences: int, first: int) -> list[int]:
    """Number of classes in each experience, larger experiences first.

    Args:
        classes: number of classes to divide.
        experiences: number of experiences.
        first: classes in the first experience, the others being divided evenly; 0: all are.

    Raises:
        UserError: an experience would have no class.
    """
    fits = 1 <= experiences <= classes
    if first:
        fits = fits and first > 0 and classes - first >= experiences - 1
    if not fits:
        raise UserError(
            f"{classes} classes cannot fill {experiences} experiences with {first or 'as many'} "
            "in the first; lower --experiences or --first-classes"
        )
    if first and experiences == 1 and first != classes:
        raise UserError(
            f"one experience holds all {classes} classes, not {first}; drop --first-classes"
        )
    if not first:
        return even_sizes(classes, experiences)
    return [first, *even_sizes(classes - first, experiences - 1)]


def even_sizes(total: int, parts: int) -> list[int]:
    """Sizes of `parts` parts of `total` items that differ by one at most, larger ones first."""
    return [total // parts + (part < total % parts) for part in range(parts)]


def partition_classes(name: str, dataset: Dataset, settings: StreamSettings) -> Scenario:
    """Cut a dataset into experiences that partition its classes.

    Args:
        name: name of the scenario.
        dataset: the dataset to cut.
        settings: class order and numbers of experiences and classes.

    Raises:
        UserError: an invalid class order, or an experience without a class.
    """
    order = ordered_classes(dataset, settings)
    labels = []
    train = []
    test = []
    start = 0
    for size in split_sizes(len(order), settings.experiences, settings.first_classes):
        labels.append(tuple(range(start, start + size)))
        classes = torch.tensor(order[start : start + size])
        train.append(torch.isin(dataset.train.labels, classes).nonzero()[:, 0])
        test.append(torch.isin(dataset.val.labels, classes).nonzero()[:, 0])
        start += size
    return Scenario(
        name=name,
        class_order=order,
        train=tuple(train),
        test=tuple(test),
        classes=tuple(labels),
    )


@dataclass(frozen=True)
class Phases:
    """A large first experience and equal ones after it: the field's "base 50, 5 phases".

    Args:
        base: classes in the first experience; 0 if `phases` is 0.
        phases: experiences after the first one; 0 if `base` is 0.
    """

    base: int = 0
    phases: int = 0


class ClassIncrementalRecipe(ScenarioRecipe):
    """Experiences that partition the classes, with base and phases as options."""

    Options = Phases

    def __init__(self, options: Phases, context: ScenarioContext) -> None:
        """Build the recipe.

        Raises:
            UserError: base and phases are not given together, or one is below 1.
        """
        super().__init__(options, context)
        base = options.base
        phases = options.phases
        if (base, phases) != (0, 0) and min(base, phases) < 1:
            raise UserError(
                f"--scenario {self.name}: base={base} and phases={phases} go together, both 1 or "
                "more: the classes of the first experience, and the number of experiences after it"
            )

    def resolve(self, settings: StreamSettings, classes: int | None = None) -> StreamSettings:
        """With base and phases, one experience of `base` classes and `phases` more.

        Raises:
            UserError: --experiences or --first-classes contradict base and phases.
        """
        if not self.options.base:
            return super().resolve(settings, classes)
        first_classes = self.options.base
        experiences = self.options.phases + 1
        self._refuse_other("experiences", settings.experiences, experiences)
        self._refuse_other("first-classes", settings.first_classes, first_classes)
        return replace(settings, experiences=experiences, first_classes=first_classes)

    def _refuse_other(self, option: str, value: int, own: int) -> None:
        """Refuse the value of an option unless it is 0 (not given) or the scenario's own."""
        if value not in (0, own):
            raise UserError(
                f"--{option} {value}: --scenario {self.name} has {own}; leave the option out"
            )

    def cut(self, dataset: Dataset, settings: StreamSettings) -> Scenario:
        """Classes in the order of `ordered_classes`, in experiences of `split_sizes`."""
        return partition_classes(self.name, dataset, settings)
