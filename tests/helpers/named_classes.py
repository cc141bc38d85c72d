"""Datasets of class names, for scenarios that never open an image."""

from collections.abc import Sequence
from pathlib import Path

import torch

from seit_cl.data.base import Dataset, Split
from seit_cl.data.stored import ImageFile, StoredImage


def dataset_of_classes(
    classes: Sequence[str], root: Path = Path("imagenet"), train: int = 4, val: int = 2
) -> Dataset:
    """A dataset with `train` and `val` images of each class; the files do not exist."""
    names = sorted(classes)

    def split(folder: str, count: int) -> Split:
        files: list[StoredImage] = []
        for name in names:
            files += [ImageFile(root / folder / name / f"{i}.JPEG", root) for i in range(count)]
        return Split(files, torch.arange(len(names)).repeat_interleave(count))

    return Dataset("imagenet", root, names, split("train", train), split("val", val))
