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
from seit_cl.core.notes import note
from seit_cl.core.threads import map_in_threads
from seit_cl.data.base import Dataset, Split, empty_classes
from seit_cl.data.decoding import BadImage, load_image, no_pixel_limit
from seit_cl.data.holdout import DEFAULT_HOLDOUT, Holdout
from seit_cl.data.ilsvrc import is_flat, list_flat
from seit_cl.data.listing import (
    KINDS,
    Files,
    LeftOut,
    has_images,
    image_files,
    list_class,
    some_names,
    subfolders,
)
from seit_cl.data.split_folders import VAL_NAMES, SplitFolders, find_splits
from seit_cl.data.stored import ImageFile, StoredImage

ANNOTATIONS = "val_annotations.txt"
CHECKED_SIDE = 64  # pixels, at which images are decoded where nothing else says the side
LAYOUT = "expected train/<class>/*.jpg and val/<class>/*.jpg"


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
        root: a folder in one of these layouts, with images of the kinds in
            `seit_cl.data.listing.SUFFIXES`, in any case and in folders below their class's:
            train/<class>/* and val/<class>/*, under the names of seit_cl.data.split_folders;
            Tiny-ImageNet's val/images/* with val/val_annotations.txt;
            ILSVRC's flat val/ (seit_cl.data.ilsvrc);
            train/ alone, or the class folders alone.
            Files that are left out are counted in one note.
        holdout: rule for the val split where the folder has none.

    Returns:
        The dataset, named after the folder; classes and files are sorted.

    Raises:
        UserError: no such folder, no class folders, a class without images, train and val classes
            that differ, or a class too small to be split.
    """
    root = Path(root)
    if not os.path.isdir(root):  # False for a name of any length
        raise UserError(
            f"{root}: no such folder; give the folder that holds train/ and val/, or a folder for "
            "every class"
        )
    splits = find_splits(root)
    left_out = LeftOut(root)
    train, val, held_out = list_splits(root, splits, holdout, left_out)
    check_same_classes(root, train, val, splits)
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
    _count_beside(root, splits, left_out)
    if left_out.line():
        note(left_out.line())
    if splits.val not in ("", "val"):
        note(f"{root}: has no val/; the test images are those in {splits.val}/")
    return dataset


def _count_beside(root: Path, splits: SplitFolders, left_out: LeftOut) -> None:
    """Count images outside of the class folders, and folders beside those of the splits."""
    used = [name for name in (splits.train, splits.val) if name]
    for name in used or [""]:
        if not is_flat(root / name):
            left_out.add_outside(root / name)
    if used:
        left_out.add_outside(root)
        for name in subfolders(root):
            if name not in used and has_images(root / name):
                is_test = name.lower() in VAL_NAMES
                advice = (
                    "rename it to val/ to test on it" if is_test else f"move it into {used[0]}/"
                )
                beside = " and ".join(f"{folder}/" for folder in used)
                left_out.add_reason(f"the folder {name}/ beside {beside} ({advice})")


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


def list_splits(
    root: Path, splits: SplitFolders, holdout: Holdout, left_out: LeftOut
) -> tuple[Files, Files, str]:
    """List the files of both splits.

    Returns:
        Train files and val files by class, and a description of the holdout ("" without one).

    Raises:
        UserError: no train/ beside val/, a data set one folder deeper, or no class folders.
    """
    if splits.train and splits.val:
        train = list_split(root, splits.train, left_out)
        if is_flat(root / splits.val):
            return train, list_flat(root, train), ""
        return train, list_split(root, splits.val, left_out), ""
    if splits.train:
        folder = root / splits.train
        files = list_split(root, splits.train, left_out)
    else:
        folder = root
        _refuse_deeper(root)
        files = {name: list_class(root / name, left_out) for name in subfolders(root)}
        if (root / "val").is_dir() or not any(files.values()):
            raise UserError(
                f"{root}: has no train/ folder; {LAYOUT}, or a folder of images for every class"
            )
    train, val = holdout.split(folder, files)
    return train, val, str(holdout)


def _refuse_deeper(root: Path) -> None:
    """Refuse class folders that are data sets with splits of their own."""
    for name in subfolders(root):
        if find_splits(root / name).train:
            raise UserError(
                f"{root}: has no train/ folder, but {name}/ has one; give --data-root "
                f"{root / name}, or --scenario domain-incremental for a folder of domains"
            )


def list_split(root: Path, split: str, left_out: LeftOut) -> Files:
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
    return {name: list_class(folder / name, left_out) for name in names}


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


def check_same_classes(root: Path, train: Files, val: Files, splits: SplitFolders) -> None:
    """Check that train and val have the same classes.

    Raises:
        UserError: naming the classes that one of the two lacks.
    """
    train_name = splits.train or "train"
    val_name = splits.val or "val"
    _refuse_extra(root, train_name, val_name, set(train) - set(val))
    _refuse_extra(root, val_name, train_name, set(val) - set(train))


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
                f"add {KINDS} files or remove it"
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
