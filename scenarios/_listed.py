"""Class-incremental scenarios whose classes are a published list of wnids."""

from __future__ import annotations

from typing import ClassVar

from timm.data import ImageNetInfo

from seit_cl.core.errors import UserError
from seit_cl.data.base import Dataset
from seit_cl.data.listing import some
from seit_cl.scenarios.class_incremental import ClassIncremental


def imagenet_wnids() -> list[str]:
    """The 1,000 wnids of ILSVRC 2012, sorted; from timm, whose class indices are in that order."""
    return sorted(ImageNetInfo().label_names())


class Listed(ClassIncremental):
    """Some classes of a dataset, by name.

    Attributes:
        list_name: what the list is, for messages.
    """

    list_name: ClassVar[str]

    def wanted(self, dataset: Dataset) -> list[str]:
        """The class names, of a dataset that may have more.

        Raises:
            UserError: the dataset says itself which they are, and does not.
        """
        raise NotImplementedError

    def select(self, dataset: Dataset) -> Dataset:
        """The listed classes.

        Raises:
            UserError: some of them are missing.
        """
        wanted = self.wanted(dataset)
        missing = set(wanted) - set(dataset.classes)
        if missing:
            raise UserError(
                f"--scenario {self.name}: {dataset.root} lacks {len(missing)} of the {len(wanted)} classes of "
                f"{self.list_name}: {some(missing)}; give --data-root a folder that has them"
            )
        return dataset.only(wanted)
