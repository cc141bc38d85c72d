"""Class-incremental streams of published lists of classes, by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from timm.data import ImageNetInfo

from seit_cl.core.errors import UserError
from seit_cl.data.base import Dataset
from seit_cl.data.class_incremental import ClassIncrementalRecipe
from seit_cl.data.listing import some_names
from seit_cl.data.scenario_recipe import Progress, no_progress


def imagenet_wnids() -> list[str]:
    """The 1,000 wnids of ILSVRC 2012, sorted; timm's class indices are in that order."""
    return sorted(ImageNetInfo().label_names())


class ListedClasses(ClassIncrementalRecipe):
    """Class-incremental experiences of listed classes, selected from a dataset by name.

    Attributes:
        list_name: name of the list, for messages.
    """

    list_name: ClassVar[str]

    def class_names(self, dataset: Dataset) -> list[str]:
        """Names of the listed classes.

        Args:
            dataset: the dataset to select from; it may have other classes too.

        Raises:
            UserError: the list comes with the dataset and is missing or invalid.
        """
        raise NotImplementedError

    def select(self, dataset: Dataset, progress: Progress = no_progress) -> Dataset:
        """The listed classes of a dataset.

        Raises:
            UserError: some of them are missing.
        """
        names = self.class_names(dataset)
        missing = set(names) - set(dataset.classes)
        if missing:
            raise UserError(
                f"--scenario {self.name}: {dataset.root} lacks {len(missing)} of the {len(names)} "
                f"classes of {self.list_name}: {some_names(missing)}; "
                "give --data-root a folder that has them"
            )
        return dataset.subset(names)


class ImageNet100(ListedClasses):
    """The parts that both lists of 100 ImageNet classes share: experiences, sizes and preset."""

    stream = "10 experiences of 10 classes"
    classes = "100"
    images = "up to 1,300 + 50 a class"
    experiences = 10
    # Budgets and epochs: docs/scenarios.md, "Presets"
    preset: ClassVar[Mapping[str, Any]] = {
        "memory_mb": (0.1, 0.5, 2.0, 5.0, 20.0, 301.056),
        "epochs": 90,
        "batch": 128,
        "replay_batch": 128,
        "model": "small",
    }
