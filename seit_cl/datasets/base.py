"""The contract of a data set plugin: a layout or format of images, which it lists as a Dataset."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from seit_cl.core.specs import NoOptions
from seit_cl.data.base import Dataset
from seit_cl.data.holdout import DEFAULT_HOLDOUT, Holdout

Progress = Callable[[int, int], None]  # takes the images processed so far and all images


def no_progress(done: int, total: int) -> None:
    """Report nothing."""


@dataclass(frozen=True)
class DatasetContext:
    """The input of a data set plugin beside its options.

    Args:
        location: path of the data, or a name where the plugin takes names; "" if there is none.
        holdout: rule for the val split where the data has none.
        progress: called while data is indexed, converted or made.
    """

    location: str
    holdout: Holdout = DEFAULT_HOLDOUT
    progress: Progress = no_progress

    @property
    def path(self) -> Path:
        """The location as a path."""
        return Path(self.location)


class DatasetPlugin:
    """Base class of a data set plugin: one file in seit_cl/datasets, with its subclass as DATASET.

    Attributes:
        source: the publication of the data or its layout, in a few words.
        layout: the files that it reads, in a few words.
        needs_location: False if there is data without a path.
        Options: frozen dataclass of the plugin's own options with their defaults.
    """

    source: ClassVar[str] = ""
    layout: ClassVar[str]
    needs_location: ClassVar[bool] = True
    Options: ClassVar[type[Any]] = NoOptions

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """True for a path with data of this kind, told from names and first bytes.

        Args:
            path: an existing file or folder.
        """
        raise NotImplementedError

    @classmethod
    def build(cls, options: Any, context: DatasetContext) -> Dataset:
        """List the images without decoding one.

        Args:
            options: an instance of `Options`.
            context: location and held-out part.

        Raises:
            UserError: data that is missing, damaged or of another layout.
        """
        raise NotImplementedError
