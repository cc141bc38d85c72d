"""Image folders: ImageNet's layout, Tiny-ImageNet's archive, and folders without a val split."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from seit_cl.core.errors import UserError
from seit_cl.core.names import printable
from seit_cl.core.threads import map_in_threads
from seit_cl.data.base import Dataset, Split, empty_classes
from seit_cl.data.decoding import BadImage, load_image, no_pixel_limit
from seit_cl.data.holdout import DEFAULT_HOLDOUT, Holdout
from seit_cl.data.ilsvrc import is_flat, list_flat
from seit_cl.data.listing import (
    SUFFIXES,
    Files,
    image_files,
    list_class,
    some_names,
    subfolders,
)
from seit_cl.data.stored import ImageFile, StoredImage

ANNOTATIONS = "val_annotations.txt"
CHECKED_SIDE = 64  # pixels, at which images are decoded where nothing else says the side
LAYOUT = "expected train/<class>/*.jpg and val/<class>/*.jpg"
OTHER_VALS = ("valid", "validation", "test", "dev")  # names that are not read as val/


def open_folder(
    root: Path, skip_bad_images: bool = False, holdout: Holdout = DEFAULT_HOLDOUT
) -> Dataset:
    """List an image folder and check that every image can be read.

    Args:
        root: as in `list_folder`.
        skip_bad_images: leave unreadable images out and count them instead of stopping.
        holdout: as in `list_folder`.

    Raises:
        UserError: as in `list_folder` and `check_images`.
    """
    return check_images(list_folder(root, holdout), skip_bad_images)


def list_folder(root: Path, holdout: Holdout = DEFAULT_HOLDOUT) -> Dataset:
    """List an image folder without opening an image.

    Args:
        root: a folder in one of these layouts, with .jpeg, .jpg and .png files in any case:
            train/<class>/* and val/<class>/*, or one folder deeper, as in train/<class>/images/*;
            Tiny-ImageNet's val/images/* with val/val_annotations.txt;
            ILSVRC's flat val/ (seit_cl.data.ilsvrc);
            train/ alone, or the class folders alone.
        holdout: rule for the val split where the folder has none.

    Returns:
        The dataset, named after the folder; classes and files are sorted.

    Raises:
        UserError: no such folder, no class folders, a second split of another name, a class without
            images, train and val classes that differ, or a class too small to be split.
    """
    root = Path(root)
    if not os.path.isdir(root):  # False for a name of any length
        raise UserError(
            f"{root}: no such folder; give the folder that holds train/ and val/, or a folder for "
            "every class"
        )
    train, val, held_out = list_splits(root, holdout)
    check_same_classes(root, train, val)
    classes = sorted(train)
    dataset = Dataset(
        name=root.resolve().name,
        root=root,
        classes=classes,
        train=to_split(root, classes, train),
        val=to_split(root, classes, val),
        held_out=held_out,
    )
    check_not_empty(dataset)
    return dataset


def check_images(dataset: Dataset, skip_bad_images: bool = False) -> Dataset:
    """Check that every image of a dataset can be read.

    Args:
        dataset: the dataset as listed.
        skip_bad_images: leave unreadable images out and count them instead of stopping.

    Returns:
        The dataset, without the unreadable images.

    Raises:
        UserError: an unreadable image, or a class without any other.
    """
    bad_train = find_bad(dataset.train.images)
    bad_val = find_bad(dataset.val.images)
    if not skip_bad_images:
        refuse_rows(dataset, bad_train, bad_val)
    return leave_out_rows(dataset, bad_train, bad_val)


def refuse_rows(dataset: Dataset, bad_train: list[int], bad_val: list[int]) -> None:
    """Refuse a dataset with unreadable images.

    Args:
        dataset, bad_train, bad_val: as in `leave_out_rows`.

    Raises:
        UserError: naming one of them, with their number.
    """
    bad = _names(dataset, bad_train, bad_val)
    if bad:
        more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
        raise UserError(
            f"{min(bad)}: not a readable image{more}; replace it or use --skip-bad-images"
        )


def without_missing(dataset: Dataset) -> Dataset:
    """A dataset without files that are not there, such as broken links, which have no manifest.

    Raises:
        UserError: a class without any other image.
    """
    return leave_out_rows(dataset, _missing(dataset.train.images), _missing(dataset.val.images))


def _missing(images: Sequence[StoredImage]) -> list[int]:
    rows = []
    for row, image in enumerate(images):
        try:
            image.fingerprint()
        except UserError:
            rows.append(row)
    return rows


def _names(dataset: Dataset, bad_train: list[int], bad_val: list[int]) -> list[str]:
    """Names of images, by their rows in both splits."""
    images = [dataset.train.images[row] for row in bad_train]
    images += [dataset.val.images[row] for row in bad_val]
    return [printable(str(image)) for image in images]


def leave_out_rows(dataset: Dataset, bad_train: list[int], bad_val: list[int]) -> Dataset:
    """A dataset without unreadable images, which it counts.

    Args:
        dataset: with them.
        bad_train, bad_val: their rows.

    Raises:
        UserError: a class without any other.
    """
    if not bad_train and not bad_val:
        return dataset
    bad = _names(dataset, bad_train, bad_val)
    readable = replace(
        dataset,
        train=_without(dataset.train, bad_train, len(dataset.classes)),
        val=_without(dataset.val, bad_val, len(dataset.classes)),
        skipped=tuple(sorted([*dataset.skipped, *bad])),
    )
    check_not_empty(readable)
    return readable


def _without(split: Split, bad: list[int], classes: int) -> Split:
    """A split without some of its rows."""
    readable = torch.ones(len(split), dtype=torch.bool)
    readable[bad] = False
    return split.take(readable.nonzero()[:, 0], torch.arange(classes))


def list_splits(root: Path, holdout: Holdout) -> tuple[Files, Files, str]:
    """List the files of both splits.

    Returns:
        Train files and val files by class, and a description of the holdout ("" without one).

    Raises:
        UserError: no train/ beside val/, a second split of another name, or no class folders.
    """
    has_train = (root / "train").is_dir()
    has_val = (root / "val").is_dir()
    if has_train and has_val:
        train = list_split(root, "train")
        if is_flat(root / "val"):
            return train, list_flat(root, train), ""
        return train, list_split(root, "val"), ""
    if has_train:
        folder = root / "train"
        _refuse_other_val(root)
        files = list_split(root, "train")
    else:
        folder = root
        files = {name: list_class(root / name) for name in subfolders(root)}
        if has_val or not any(files.values()):
            raise UserError(
                f"{root}: has no train/ folder; {LAYOUT}, or a folder of images for every class"
            )
    train, val = holdout.split(folder, files)
    return train, val, str(holdout)


def _refuse_other_val(root: Path) -> None:
    """Refuse a folder whose second split has a name that is not read as val/."""
    for name in OTHER_VALS:
        if (root / name).is_dir():
            raise UserError(
                f"{root}: has no val/ folder, but {name}/; rename it to val/, or give "
                f"--data-root {root}/train to hold out a part of every class"
            )


def list_split(root: Path, split: str) -> Files:
    """List the image files of every class of one split.

    Raises:
        UserError: there are no class folders.
    """
    folder = root / split
    if (folder / ANNOTATIONS).is_file():
        return list_annotated(folder)
    names = subfolders(folder)
    if not names:
        raise UserError(f"{folder}: has no class folders; {LAYOUT}")
    return {name: list_class(folder / name) for name in names}


def list_annotated(folder: Path) -> Files:
    """List Tiny-ImageNet's val split: images/*, with val_annotations.txt for their classes.

    A line of that file has the name of an image, its class and a bounding box.

    Raises:
        UserError: a line without a class, or with a file that is missing.
    """
    files: Files = {}
    images = {path.name: path for path in image_files(folder / "images")}
    for number, line in enumerate((folder / ANNOTATIONS).read_text().splitlines(), 1):
        if not line.strip():
            continue
        fields = line.split("\t")
        if len(fields) < 2 or fields[0] not in images:
            raise UserError(
                f"{folder / ANNOTATIONS}, line {number}: no class, or no such file in images/; "
                "unpack it again"
            )
        files.setdefault(fields[1], []).append(images[fields[0]])
    return {name: sorted(files[name]) for name in sorted(files)}


def check_same_classes(root: Path, train: Files, val: Files) -> None:
    """Check that train and val have the same classes.

    Raises:
        UserError: naming the classes that one of the two lacks.
    """
    _refuse_extra(root, "train", "val", set(train) - set(val))
    _refuse_extra(root, "val", "train", set(val) - set(train))


def _refuse_extra(root: Path, split: str, other: str, extra: set[str]) -> None:
    """Refuse classes that are in one split only."""
    if extra:
        raise UserError(
            f"{root}: train and val classes differ: {some_names(extra)} in {split}/ but not in "
            f"{other}/; add or remove"
        )


def check_not_empty(dataset: Dataset) -> None:
    """Check that every class has a readable image in both splits.

    Raises:
        UserError: naming the empty classes.
    """
    for name, split in (("train", dataset.train), ("val", dataset.val)):
        empty = empty_classes(dataset.classes, split.labels)
        if empty:
            folder = dataset.root if dataset.held_out else dataset.root / name
            noun = "class" if len(empty) == 1 else "classes"
            raise UserError(
                f"{folder}: {noun} without readable images: {some_names(empty)}; "
                f"add {', '.join(SUFFIXES)} files or remove it"
            )


def is_bad(stored: StoredImage, side: int = CHECKED_SIDE) -> bool:
    """Return True for an image that cannot be decoded for a side in pixels, by decoding it."""
    if not stored.has_file:
        return False
    try:
        load_image(stored, side)
    except BadImage:
        return True
    return False


def find_bad(images: Sequence[StoredImage], side: int = CHECKED_SIDE) -> list[int]:
    """Rows of the images among some that cannot be decoded, found in threads."""
    with no_pixel_limit():
        bad = map_in_threads(partial(is_bad, side=side), images)
        return [row for row, broken in enumerate(bad) if broken]


def to_split(root: Path, classes: list[str], files: Files) -> Split:
    """Files by class as a split, class by class; their names are relative to `root`."""
    images: list[StoredImage] = []
    for name in classes:
        images += [ImageFile(path, root) for path in files[name]]
    counts = torch.tensor([len(files[name]) for name in classes])
    return Split(images, torch.arange(len(classes)).repeat_interleave(counts))
