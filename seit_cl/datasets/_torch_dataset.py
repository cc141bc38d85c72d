"""Torch datasets as data sets: items are images with labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image
from torch import Tensor

from seit_cl.core.errors import UserError
from seit_cl.data.arrays import CHANNELS, PixelImage
from seit_cl.data.base import Dataset
from seit_cl.data.decoding import stored_orientation, to_rgb
from seit_cl.data.holdout import DEFAULT_HOLDOUT, Holdout
from seit_cl.data.labelled import Labelled, labelled_dataset, numbered_classes
from seit_cl.data.orientation import turn_upright

ITEMS_CHECKED = 3  # read twice, to find random transforms


class SizedItems(Protocol):
    """A map-style torch dataset: items by index, and their number."""

    def __len__(self) -> int:
        """The number of items."""

    def __getitem__(self, index: int, /) -> Any:
        """An image and its label, and anything behind them."""


def from_torch(
    train: SizedItems,
    val: SizedItems | None = None,
    classes: Sequence[str] | None = None,
    name: str = "torch",
    holdout: Holdout = DEFAULT_HOLDOUT,
) -> Dataset:
    """Make a data set of torch datasets, for `run_experiment` and other calls.

    An item is (image, label, ...). Images are PIL images, uint8 arrays or tensors of shape (H, W),
    (H, W, C) or (C, H, W), or float tensors (C, H, W) from 0 to 1 as ToTensor makes them. They are
    read when they are needed, from several threads; the runs themselves normalise and augment, so
    leave random transforms and Normalize out. Labels come from `targets` where the dataset has
    them, and else from one pass over the items. With jobs in processes, the datasets are pickled.

    Args:
        train: items to train on.
        val: items to test on; None: a part of every class of `train` is held out.
        classes: names in the order of the labels; None: the dataset's own `classes`, or the labels
            as text.
        name: name in results.
        holdout: rule for the val split where `val` is None.

    Returns:
        The data set, whose images are pixels without files.

    Raises:
        UserError: items of another kind, items that change when read again, or labels that do not
            fit the classes.
    """
    where = [f"{name}, train", f"{name}, val"]
    parts = [train] if val is None else [train, val]
    for items, text in zip(parts, where, strict=False):
        _check_items(items, text)
    labels = [_labels(items, text) for items, text in zip(parts, where, strict=False)]
    names = classes if classes is not None else getattr(train, "classes", None)
    if names is None:
        names, labels = numbered_classes(*labels)
    labelled = [
        _labelled(TorchItems(items, text), values)
        for items, text, values in zip(parts, where, labels, strict=False)
    ]
    return labelled_dataset(
        name,
        Path(name),
        [str(class_name) for class_name in names],
        labelled[0],
        None if val is None else labelled[1],
        holdout,
    )


@dataclass(frozen=True, eq=False)
class TorchItems:
    """A torch dataset with its name in messages."""

    items: SizedItems
    where: str


@dataclass(frozen=True, slots=True, eq=False)
class TorchImage(PixelImage):
    """The image of an item."""

    source: TorchItems

    def pixels(self) -> np.ndarray:
        """Pixels (H, W, 3) uint8.

        Raises:
            UserError: an item that is no image.
        """
        return rgb_pixels(self.source.items[self.row][0], str(self))


def rgb_pixels(image: object, where: str) -> np.ndarray:
    """Convert an item's image to pixels (H, W, 3) uint8.

    Args:
        image: as described in `from_torch`.
        where: the image in messages.

    Raises:
        UserError: it is none.
    """
    if isinstance(image, Image.Image):
        return turn_upright(np.asarray(to_rgb(image)), stored_orientation(image))
    array = image.detach().cpu().numpy() if isinstance(image, Tensor) else np.asarray(image)
    if array.dtype.kind == "f" and array.size and array.min() >= 0 and array.max() <= 1:
        array = np.rint(255 * array).astype(np.uint8)
    if array.dtype.kind == "f":
        raise UserError(
            f"{where}: has values outside 0 to 1; leave Normalize out of the dataset's transform"
        )
    if array.ndim == 3 and array.shape[0] in CHANNELS and array.shape[2] not in CHANNELS:
        array = array.transpose(1, 2, 0)
    if array.ndim == 2:
        array = array[..., None]
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] not in CHANNELS:
        raise UserError(
            f"{where}: of type {array.dtype} and shape {array.shape}; give PIL images, or uint8 of "
            "shape (H, W, 3)"
        )
    return np.ascontiguousarray(np.broadcast_to(array, (*array.shape[:2], 3)))


def _check_items(items: SizedItems, where: str) -> None:
    """Check the first items: an image and a label, the same each time.

    Raises:
        UserError: naming the dataset.
    """
    if not hasattr(items, "__len__") or not len(items):
        raise UserError(f"{where}: has no length, or no items; give a map-style dataset with items")
    for row in range(min(ITEMS_CHECKED, len(items))):
        item = items[row]
        if not isinstance(item, (tuple, list)) or len(item) < 2:
            raise UserError(f"{where}: item {row} is no (image, label); return both")
        first = rgb_pixels(item[0], f"{where}, item {row}")
        if not np.array_equal(first, rgb_pixels(items[row][0], f"{where}, item {row}")):
            raise UserError(
                f"{where}: item {row} changes when it is read again; leave random transforms out, "
                "runs augment themselves"
            )


def _labels(items: SizedItems, where: str) -> np.ndarray:
    """Labels of all items, (N,) integers."""
    targets = getattr(items, "targets", None)
    if targets is None or getattr(items, "target_transform", None) is not None:
        targets = [items[row][1] for row in range(len(items))]
    labels = np.asarray([int(label) for label in targets], dtype=np.int64)
    if len(labels) != len(items):
        raise UserError(f"{where}: has {len(labels):,} targets and {len(items):,} items")
    return labels


def _labelled(items: TorchItems, labels: np.ndarray) -> Labelled:
    return Labelled(labels, lambda row, start: TorchImage(items, row, start), items.where)
