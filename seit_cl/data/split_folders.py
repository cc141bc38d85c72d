"""The folders of a train and a val split, by their names in any case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from seit_cl.data.listing import has_images, image_files, subfolders

TRAIN_NAMES = ("train", "training")
# Test images come from the first of these that the data has.
VAL_NAMES = ("val", "validation", "valid", "dev", "test", "testing", "eval")


@dataclass(frozen=True)
class SplitFolders:
    """Names of the folders of both splits.

    Args:
        train: "" if the root has class folders instead.
        val: "" if a part of every class is to be held out.
    """

    train: str
    val: str


def find_splits(root: Path) -> SplitFolders:
    """Find the folders of both splits.

    train/ and val/ are taken by their names alone. A folder of another spelling (Train, TEST,
    validation) is a split if it has class folders, with the same classes in both; so classes may
    have such names.

    Args:
        root: an existing folder.
    """
    names = subfolders(root)
    if "train" in names:
        if _is_class(root, names):
            return SplitFolders("", "")
        return SplitFolders("train", "val" if "val" in names else _other_val(root, "train", names))
    for train in _spelled(names, TRAIN_NAMES):
        if not _has_class_folders(root / train):
            continue
        found = _other_val(root, train, names)
        if found or not any(has_images(root / name) for name in names if name != train):
            return SplitFolders(train, found)
    return SplitFolders("", "")


def _spelled(names: Sequence[str], known: Sequence[str]) -> list[str]:
    """The names that are known but for their case, in the order of the known ones."""
    return [name for one in known for name in sorted(names, reverse=True) if name.lower() == one]


def _other_val(root: Path, train: str, names: Sequence[str]) -> str:
    """The first folder that is named like a val split and has a class of the train split."""
    classes = set(subfolders(root / train))
    for name in _spelled(names, VAL_NAMES):
        if classes & set(subfolders(root / name)):
            return name
    return ""


def _has_class_folders(folder: Path) -> bool:
    """Return True for a folder whose images are all in subfolders."""
    if image_files(folder):
        return False
    return any(has_images(folder / name) for name in subfolders(folder))


def _is_class(root: Path, names: Sequence[str]) -> bool:
    """Return True if train/ has images and no folders, and other classes lie beside it."""
    train = root / "train"
    if "val" in names or subfolders(train) or not image_files(train):
        return False
    return any(image_files(root / name) for name in names if name != "train")
