"""Datasets of labelled images whose classes are numbers: checks, names, and the val split."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from seit_cl.core.errors import UserError
from seit_cl.data.base import Dataset, Split, empty_classes
from seit_cl.data.holdout import Holdout
from seit_cl.data.listing import some_names
from seit_cl.data.stored import StoredImage

ImageMaker = Callable[[int, str], StoredImage]  # from a row and the start of its name


@dataclass(frozen=True, eq=False)
class Labelled:
    """Labelled images of one split.

    Args:
        labels: (N,) integers, positions in the classes.
        image: makes the image of a row, whose name starts with a text.
        where: the split in messages, e.g. the path of a file.
    """

    labels: np.ndarray
    image: ImageMaker
    where: str

    def images(self, classes: Sequence[str], split: str) -> list[StoredImage]:
        """All images; their names start with the split, where there is one, and the class."""
        starts = [f"{split}/{name}" if split else name for name in classes]
        return [self.image(row, starts[label]) for row, label in enumerate(self.labels.tolist())]


def labelled_dataset(
    name: str,
    root: Path,
    classes: Sequence[str],
    train: Labelled,
    val: Labelled | None,
    holdout: Holdout,
) -> Dataset:
    """Make a dataset of labelled images, which keep their order.

    Args:
        name, root: as in `Dataset`.
        classes: names in the order of the labels.
        train: training images, and test images too where there is no val split.
        val: test images, or None.
        holdout: rule for the val split where there is none.

    Raises:
        UserError: a label outside the classes, two classes of one name, or a class without images
            in a split.
    """
    repeated = {name for name in classes if list(classes).count(name) > 1}
    if repeated:
        raise UserError(f"{root}: has two classes of the name {some_names(repeated)}; rename one")
    if val is None:
        train_split, val_split = _hold_out(train, classes, holdout)
        held_out = str(holdout)
    else:
        train_split = _split(train, classes, "train")
        val_split = _split(val, classes, "val")
        held_out = ""
    for split_name, split in (("train", train_split), ("val", val_split)):
        empty = empty_classes(list(classes), split.labels)
        if empty:
            noun = "class" if len(empty) == 1 else "classes"
            raise UserError(
                f"{root}: {split_name} has no images of the {noun} {some_names(empty)}; "
                "leave it out of both splits, or add images"
            )
    return Dataset(name, root, list(classes), train_split, val_split, held_out=held_out)


def check_labels(labels: np.ndarray, classes: int, where: str) -> None:
    """Check that labels are positions in the classes.

    Raises:
        UserError: naming the first other one.
    """
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise UserError(
            f"{where}: labels of type {labels.dtype} and shape {tuple(labels.shape)}; "
            "give one integer an image"
        )
    outside = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(outside):
        row = int(outside[0])
        raise UserError(
            f"{where}: image {row} has the label {labels[row]}, and {classes} classes have the "
            f"labels 0 to {classes - 1}; correct the labels or name all classes"
        )


def numbered_classes(*labels: np.ndarray) -> tuple[list[str], list[np.ndarray]]:
    """Name classes after the numbers that occur, in ascending order.

    Args:
        labels: (N,) integers of each split.

    Returns:
        The names, and the labels as positions in them.
    """
    values = np.unique(np.concatenate(labels))
    positions = [np.searchsorted(values, split) for split in labels]
    return [str(value) for value in values.tolist()], positions


def _split(part: Labelled, classes: Sequence[str], name: str) -> Split:
    check_labels(part.labels, len(classes), part.where)
    labels = torch.from_numpy(part.labels.astype(np.int64))
    return Split(part.images(classes, name), labels)


def _hold_out(part: Labelled, classes: Sequence[str], holdout: Holdout) -> tuple[Split, Split]:
    """Divide the images of every class into train and val, each in their present order."""
    whole = _split(part, classes, "")
    held = torch.zeros(len(whole), dtype=torch.bool)
    for label, class_name in enumerate(classes):
        rows = (whole.labels == label).nonzero()[:, 0].tolist()
        if len(rows) == 1:
            raise UserError(
                f"{part.where}: only one image in {class_name}; without a val split a class needs "
                "two, one for training and one for testing"
            )
        names = [whole.images[row].name for row in rows]
        held[[rows[i] for i in holdout.choose(names)]] = True
    unchanged = torch.arange(len(classes))
    return (
        whole.take((~held).nonzero()[:, 0], unchanged),
        whole.take(held.nonzero()[:, 0], unchanged),
    )
