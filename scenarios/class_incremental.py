"""Class-incremental learning: the classes arrive in experiences that partition them exactly."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch

from seit_cl.core.errors import UserError
from seit_cl.data.base import Dataset
from seit_cl.data.scenario import Cut, Scenario, ScenarioContext, ScenarioKind


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
    if (
        first < 0
        or not 1 <= experiences <= classes
        or (first and classes - first < experiences - 1)
    ):
        raise UserError(
            f"{classes} classes cannot fill {experiences} experiences with {first or 'as many'} in the first; "
            "lower --experiences or --first-classes"
        )
    if first and experiences == 1 and first != classes:
        raise UserError(
            f"one experience holds all {classes} classes, not {first}; drop --first-classes"
        )
    head = [first] if first else []
    rest, parts = classes - first, experiences - len(head)
    return head + [rest // parts + (i < rest % parts) for i in range(parts)]


def ordered_classes(dataset: Dataset, cut: Cut) -> tuple[int, ...]:
    """The class order that the command line asks for: the explicit one, or that of its seed.

    Raises:
        UserError: the explicit order is not a permutation of the classes.
    """
    count, explicit = len(dataset.classes), cut.class_order
    if not explicit:
        return class_order(count, cut.class_order_seed)
    if sorted(explicit) != sorted(dataset.classes):
        odd = sorted(set(explicit) ^ set(dataset.classes)) or ["a class given twice"]
        raise UserError(
            f"--class-order must name each of the {count} classes once; look at {', '.join(odd[:3])}"
        )
    return tuple(dataset.classes.index(name) for name in explicit)


@dataclass(frozen=True)
class Phases:
    """A large first experience and phases after it, the field's "base 50, 5 phases"; 0 and 0: neither.

    Args:
        base: classes in the first experience.
        phases: experiences after the first, of equally many classes.
    """

    base: int = 0
    phases: int = 0


class ClassIncremental(ScenarioKind):
    """The classes in experiences that partition them."""

    source = "Rebuffi et al., CVPR 2017 (iCaRL)"
    shape = "experiences of equally many classes"
    Options = Phases
    preset: ClassVar[Mapping[str, Any]] = {
        "memory_mb": (0.02, 0.1, 0.5, 2.0),
        "epochs": 20,
        "cutmix_p": 0.0,
        "token_rrc": 0.6,
    }

    def __init__(self, options: Phases, context: ScenarioContext) -> None:
        """Build the scenario.

        Raises:
            UserError: base is given without phases, or one of them is below 1.
        """
        super().__init__(options, context)
        base, phases = options.base, options.phases
        if (base, phases) != (0, 0) and min(base, phases) < 1:
            raise UserError(
                f"--scenario {self.name}: base={base} and phases={phases} go together, both from 1 up: the classes of the "
                "first experience, and the number of experiences after it"
            )

    def resolve(self, cut: Cut) -> Cut:
        """With base and phases, one experience of `base` classes and `phases` more.

        Raises:
            UserError: --experiences or --first-classes say otherwise.
        """
        base, phases = self.options.base, self.options.phases
        if not base:
            return super().resolve(cut)
        for option, given, own in (
            ("experiences", cut.experiences, phases + 1),
            ("first-classes", cut.first_classes, base),
        ):
            if given not in (0, own):
                raise UserError(
                    f"--{option} {given}: --scenario {self.name} has {own}; leave the option out"
                )
        return replace(cut, experiences=phases + 1, first_classes=base)

    def cut(self, dataset: Dataset, cut: Cut) -> Scenario:
        """Classes in the order of `ordered_classes`, in experiences of `split_sizes`."""
        order = ordered_classes(dataset, cut)
        sizes = split_sizes(len(order), cut.experiences, cut.first_classes)
        bounds = np.cumsum([0, *sizes])
        labels = tuple(tuple(range(a, b)) for a, b in itertools.pairwise(bounds.tolist()))
        members = [torch.tensor([order[label] for label in part]) for part in labels]
        return Scenario(
            name=self.name,
            class_order=order,
            train=tuple(torch.isin(dataset.train.labels, part).nonzero()[:, 0] for part in members),
            test=tuple(torch.isin(dataset.val.labels, part).nonzero()[:, 0] for part in members),
            classes=labels,
        )


SCENARIO = ClassIncremental
