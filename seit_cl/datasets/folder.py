"""Image folders: train/<class>/* with val/<class>/*, train/ alone, or the class folders alone."""

from __future__ import annotations

from pathlib import Path

from seit_cl.core.specs import NoOptions
from seit_cl.data.base import Dataset
from seit_cl.data.folder import ANNOTATIONS, list_folder
from seit_cl.data.ilsvrc import is_flat
from seit_cl.data.listing import has_images, subfolders
from seit_cl.data.split_folders import find_splits
from seit_cl.datasets.base import DatasetContext, DatasetPlugin


class ImageFolder(DatasetPlugin):
    """A folder of images for every class."""

    source = "torchvision's ImageFolder"
    layout = "train/<class>/* and val/<class>/*, or one folder of images for every class"

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """True for class folders with images, unless val/ is of a kind of its own."""
        if not path.is_dir():
            return False
        val = path / "val"
        if (val / ANNOTATIONS).is_file() or is_flat(val):
            return False
        folder = path / find_splits(path).train
        return any(has_images(folder / name) for name in subfolders(folder))

    @classmethod
    def build(cls, options: NoOptions, context: DatasetContext) -> Dataset:
        """List the folder (seit_cl.data.folder)."""
        return list_folder(context.path, context.holdout)


DATASET = ImageFolder
