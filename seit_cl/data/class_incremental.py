"""Class-incremental streams: class orders, and experiences that partition the classes."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from seit_cl.core.errors import UserError
from seit_cl.core.options import NOT_NEGATIVE, ranged
from seit_cl.data.base import Dataset
from seit_cl.data.listing import some_names
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
    """The class order of the settings: that of the lists, the explicit one, or that of the seed.

    Raises:
        UserError: the explicit order is not a permutation of the classes.
    """
    count = len(dataset.classes)
    option = "--class-lists" if settings.class_lists else "--class-order"
    explicit = tuple(itertools.chain.from_iterable(settings.class_lists)) or settings.class_order
    if not explicit:
        return class_order(count, settings.class_order_seed)
    if sorted(explicit) != sorted(dataset.classes):
        raise UserError(
            f"{option} must name each of the {count} classes once; "
            f"{_odd_names(explicit, dataset.classes)}"
        )
    position = {name: index for index, name in enumerate(dataset.classes)}
    return tuple(position[name] for name in explicit)


def _odd_names(named: Sequence[str], classes: Sequence[str]) -> str:
    """The names that are missing, unknown or twice in a list of classes, for a message."""
    times = Counter(named)
    groups = {
        "missing": [name for name in classes if name not in times],
        "unknown": [name for name in times if name not in set(classes)],
        "named twice": [name for name, count in times.items() if count > 1],
    }
    parts = []
    for what, names in groups.items():
        if names:
            parts.append(f"{what}: {some_names(names)}")
    return "; ".join(parts)


def experience_sizes(classes: int, settings: StreamSettings) -> list[int]:
    """Number of classes in each experience: those given, or `split_sizes`.

    Args:
        classes: number of classes to divide.
        settings: as resolved by the scenario.

    Raises:
        UserError: sizes that do not sum to the number of classes, or an experience without a class.
    """
    sizes = settings.given_sizes
    if not sizes:
        return split_sizes(classes, settings.experiences, settings.first_classes)
    difference = classes - sum(sizes)
    if difference:
        problem = f"{difference} more" if difference > 0 else f"{-difference} fewer"
        raise UserError(
            f"--experience-classes {' '.join(map(str, sizes))}: are {sum(sizes)} classes, and the "
            f"data have {classes}; the sizes must name {problem}"
        )
    return list(sizes)


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
    for size in experience_sizes(len(order), settings):
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

    base: int = ranged(0, NOT_NEGATIVE)
    phases: int = ranged(0, NOT_NEGATIVE)


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
        if settings.given_sizes:
            raise UserError(
                f"--scenario {self.name}: has its own sizes of experiences; drop base and phases, "
                "or --experience-classes and --class-lists"
            )
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
