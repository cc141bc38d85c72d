"""The built-in fractals, which are made in the cache folder: data without a download."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from seit_cl.core.cache import cache_folder
from seit_cl.core.errors import UserError
from seit_cl.data.base import Dataset
from seit_cl.data.fractals import open_fractals
from seit_cl.datasets.base import DatasetContext, DatasetPlugin


@dataclass(frozen=True)
class FractalOptions:
    """Size of the data.

    Args:
        classes: number of classes.
        train, val: images of each class.
        resolution: side in pixels.
        seed: seed of the images.
    """

    classes: int = 10
    train: int = 100
    val: int = 30
    resolution: int = 64
    seed: int = 0


class Fractals(DatasetPlugin):
    """Images of iterated function systems (seit_cl.data.fractals)."""

    source = "Kataoka et al., ACCV 2020"
    layout = "none: the images are made"
    needs_location = False
    Options = FractalOptions

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Always False: there is no path."""
        return False

    @classmethod
    def build(cls, options: FractalOptions, context: DatasetContext) -> Dataset:
        """Open the images, making them on the first call.

        Args:
            options: numbers of classes and of images of each, and their side in pixels.
            context: has no location.

        Raises:
            UserError: a path, or a number below 1.
        """
        if context.location:
            raise UserError(
                f"fractals:{context.location}: takes no path; write fractals, or "
                "fractals:classes=20,train=50"
            )
        if min(options.classes, options.train, options.val, options.resolution) < 1:
            raise UserError("fractals: classes, train, val and resolution must be at least 1")
        return open_fractals(
            cache_folder() / "datasets",
            options.classes,
            options.train,
            options.val,
            options.resolution,
            options.seed,
        )


DATASET = Fractals
