"""A scenario: how a dataset is cut into a benchmark. Pure data: index lists and a class order."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from avalanche.benchmarks import benchmark_from_datasets
from avalanche.benchmarks.utils import as_classification_dataset
from torch import Tensor
from torch.utils.data import TensorDataset

from seit_cl.core import plugins
from seit_cl.core.specs import NoOptions, Spec, canonical_text
from seit_cl.data.base import Dataset
from seit_cl.data.folder import list_folder
from seit_cl.data.holdout import Holdout


@dataclass(frozen=True)
class Scenario:
    """Train and test streams as index lists.

    Args:
        name: as on the command line.
        class_order: dataset class indices in the order in which the stream shows them; a label y of the run is the
            class class_order[y].
        train: per experience, (n,) int64 indices into the train split.
        test: per experience, (n,) int64 indices into the val split: what the learner is tested on from then on. Empty where an
            experience brings nothing new to test.
        classes: per experience, the labels (positions in class_order) that it shows.
        boundaries: whether the learner is told where an experience ends. Where it is not, one optimiser with a constant rate
            goes through the whole stream, and strategies that need boundaries are refused.
    """

    name: str
    class_order: tuple[int, ...]
    train: tuple[Tensor, ...]
    test: tuple[Tensor, ...]
    classes: tuple[tuple[int, ...], ...]
    boundaries: bool = True

    def __len__(self) -> int:
        return len(self.train)

    def seen(self, step: int) -> int:
        """Number of classes seen after experience `step`."""
        return self._seen[step]

    @cached_property
    def _seen(self) -> tuple[int, ...]:
        return tuple(itertools.accumulate((1 + max(labels) for labels in self.classes), max))

    def labels(self, dataset_labels: Tensor) -> Tensor:
        """Dataset labels (N,) as positions in the class order (N,)."""
        position = torch.empty(len(self.class_order), dtype=torch.int64)
        position[list(self.class_order)] = torch.arange(len(self.class_order))
        return position[dataset_labels]

    def joined(self) -> Scenario:
        """All experiences as one: the joint bound."""
        classes = tuple(label for labels in self.classes for label in labels)
        return Scenario(
            self.name,
            self.class_order,
            (torch.cat(self.train),),
            (torch.cat(self.test),),
            (classes,),
        )

    def benchmark(self, dataset: Dataset) -> Any:
        """The scenario as an Avalanche benchmark; a sample's input is its index in the split."""

        def stream(parts: tuple[Tensor, ...], labels: Tensor) -> list[Any]:
            return [as_classification_dataset(_targeted(part, labels[part])) for part in parts]

        return benchmark_from_datasets(
            train=stream(self.train, self.labels(dataset.train.labels)),
            test=stream(self.test, self.labels(dataset.val.labels)),
        )


@dataclass(frozen=True)
class Cut:
    """How the command line wants a dataset cut.

    Args:
        experiences: number of experiences; 0 until `ScenarioKind.resolve` has put the scenario's own there.
        first_classes: classes in the first experience; 0 for an even split.
        class_order_seed: of the class order when no explicit one is given, and of every other draw of a scenario.
        class_order: all class names in the order wanted, or empty.
    """

    experiences: int = 5
    first_classes: int = 0
    class_order_seed: int = 1993
    class_order: tuple[str, ...] = ()


def ignore_progress(done: int, total: int) -> None:
    """Take a report of progress and do nothing."""


@dataclass(frozen=True)
class ScenarioContext:
    """Everything beside its options that a scenario is built from.

    Args:
        name: the scenario's name, with hyphens.
        progress: called with images done and images in all while `select` makes images.
    """

    name: str
    progress: Callable[[int, int], None] = ignore_progress


class ScenarioKind:
    """One file in scenarios/ subclasses this and names the subclass SCENARIO.

    Attributes:
        source: where the protocol was published, in a few words.
        shape: what its stream looks like, in a few words, e.g. "10 experiences of 10 classes".
        classes, images: how many there are, where the scenario fixes the data.
        experiences: how many there are where --experiences is not given; 0: as many as the data has parts.
        Options: frozen dataclass of its own options with their defaults.
        preset: options of a run, by RunConfig's names, that its literature or a look at it recommends; taken with --preset.
        one_pass: whether a strategy may see fresh samples once only: --epochs 1. The joint and cumulative bounds and training on
            exemplars alone are free of it.
    """

    source: ClassVar[str] = ""
    shape: ClassVar[str] = ""
    classes: ClassVar[str] = "the data's"
    images: ClassVar[str] = "the data's"
    experiences: ClassVar[int] = 5
    Options: ClassVar[type[Any]] = NoOptions
    preset: ClassVar[Mapping[str, Any]] = {}
    one_pass: ClassVar[bool] = False

    def __init__(self, options: Any, context: ScenarioContext) -> None:
        self.options = options
        self.progress = context.progress
        self.name = canonical_text(context.name, options, only_changed=True)

    @classmethod
    def build(cls, options: Any, context: ScenarioContext) -> Self:
        """Build the scenario.

        Raises:
            UserError: options that contradict one another.
        """
        return cls(options, context)

    def resolve(self, cut: Cut) -> Cut:
        """The cut that a command line means, with the scenario's own numbers where it gives none.

        Raises:
            UserError: the scenario's options say otherwise than the command line.
        """
        return cut if cut.experiences else replace(cut, experiences=self.experiences)

    @property
    def makes_images(self) -> bool:
        """Whether `select` reads the dataset's images to make others: then they are all looked at before."""
        return False

    def listed(self, root: Path, holdout: Holdout) -> Dataset:
        """A folder of images in the layout that the scenario asks for, `list_folder`'s by default; no image is opened yet.

        Raises:
            UserError: another layout.
        """
        return list_folder(root, holdout)

    def select(self, dataset: Dataset) -> Dataset:
        """The dataset that the stream shows: all of the given one by default.

        Raises:
            UserError: it lacks what the scenario needs.
        """
        return dataset

    def cut(self, dataset: Dataset, cut: Cut) -> Scenario:
        """Experiences of a dataset that `select` gave.

        Raises:
            UserError: a split that cannot be.
        """
        raise NotImplementedError


def build_scenario(
    spec: str, progress: Callable[[int, int], None] = ignore_progress
) -> ScenarioKind:
    """Build a scenario from its spec, e.g. "class-incremental".

    Args:
        spec: name and options.
        progress: called with images done and images in all while the scenario makes images.

    Raises:
        UserError: an unknown scenario or option, or a value that it cannot have.
    """
    parsed = Spec.parse(spec)
    context = ScenarioContext(parsed.name.replace("_", "-"), progress)
    scenario: ScenarioKind = plugins.build("scenario", parsed, context)
    return scenario


def written(options: Mapping[str, Any]) -> str:
    """Options of a run as they are written on the command line."""

    def words(value: Any) -> str:
        return " ".join(
            f"{v:g}" if isinstance(v, float) else str(v)
            for v in (value if isinstance(value, tuple) else (value,))
        )

    return " ".join(f"--{name.replace('_', '-')} {words(value)}" for name, value in options.items())


def _targeted(ids: Tensor, labels: Tensor) -> TensorDataset:
    data = TensorDataset(ids, labels)
    data.targets = labels.tolist()  # type: ignore[attr-defined]  # Avalanche reads the targets from here
    return data
