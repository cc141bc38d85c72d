"""Image folders in ImageNet's layout (train/<class>/*, val/<class>/*), in Tiny-ImageNet's own, and without a val split."""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import torch
from PIL import Image

from seit_cl.core.errors import UserError
from seit_cl.data.base import Dataset, Split
from seit_cl.data.holdout import DEFAULT_HOLDOUT, Holdout
from seit_cl.data.ilsvrc import is_flat, list_flat
from seit_cl.data.images import BAD_IMAGE, default_threads, no_pixel_limit
from seit_cl.data.listing import SUFFIXES, Files, image_files, list_class, some_names, subfolders

ANNOTATIONS = "val_annotations.txt"
TAILS = {"JPEG": b"\xff\xd9", "PNG": b"IEND\xaeB`\x82"}
LAYOUT = "expected train/<class>/*.jpg and val/<class>/*.jpg"
OTHER_VALS = (
    "valid",
    "validation",
    "test",
    "dev",
)  # names of a second split that are not read as val/


def open_folder(
    root: Path, skip_bad_images: bool = False, holdout: Holdout = DEFAULT_HOLDOUT
) -> Dataset:
    """Lists and checks an image folder before anything runs.

    Args:
        root, holdout: as in `list_folder`.
        skip_bad_images: leave unreadable images out and count them instead of stopping.

    Raises:
        UserError: as `list_folder` and `check_images`.
    """
    return check_images(list_folder(root, holdout), skip_bad_images)


def list_folder(root: Path, holdout: Holdout = DEFAULT_HOLDOUT) -> Dataset:
    """Lists an image folder; no image is opened yet.

    Args:
        root: holds train/<class>/* and val/<class>/* or one folder deeper, as in train/<class>/images/*;
            Tiny-ImageNet's val/images/* with val/val_annotations.txt works too, and ILSVRC's flat val/ (seit_cl.data.ilsvrc).
            Or train/ alone, or the class folders alone. Files: .jpeg .jpg .png in any case.
        holdout: how a val split is made where there is none.

    Returns:
        The dataset, named after the folder; classes and files are sorted.

    Raises:
        UserError: no such folder, no class folders, a second split of another name, a class without images, train and val
            classes that differ, or a class too small to be split.
    """
    root = Path(root)
    if not root.is_dir():
        raise UserError(
            f"{root}: no such folder; give the folder that holds train/ and val/, or a folder for every class"
        )
    train, val, held_out = list_splits(root, holdout)
    check_same_classes(root, train, val)
    classes = sorted(train)
    dataset = Dataset(
        root.resolve().name,
        root,
        classes,
        to_split(classes, train),
        to_split(classes, val),
        held_out=held_out,
    )
    check_not_empty(dataset)
    return dataset


def check_images(dataset: Dataset, skip_bad_images: bool = False) -> Dataset:
    """A dataset of which every file can be read.

    Args:
        dataset: as listed.
        skip_bad_images: leave unreadable images out and count them instead of stopping.

    Raises:
        UserError: an unreadable image, or a class without any other.
    """
    bad = find_bad([*dataset.train.paths, *dataset.val.paths])
    if not bad:
        return dataset
    if not skip_bad_images:
        more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
        raise UserError(
            f"{min(bad)}: not a readable image{more}; replace it or use --skip-bad-images"
        )
    same = torch.arange(len(dataset.classes))
    good = [
        split.subset(torch.tensor([path not in bad for path in split.paths]).nonzero()[:, 0], same)
        for split in (dataset.train, dataset.val)
    ]
    left = replace(dataset, train=good[0], val=good[1], skipped=tuple(sorted(bad)))
    check_not_empty(left)
    return left


def list_splits(root: Path, holdout: Holdout) -> tuple[Files, Files, str]:
    """Train and val files by class, and in words how val was held out ("" where the folder has one).

    Raises:
        UserError: no train/ beside val/, a second split of another name, or no class folders.
    """
    has = {name: (root / name).is_dir() for name in ("train", "val", *OTHER_VALS)}
    if has["train"] and has["val"]:
        train = list_split(root, "train")
        return (
            train,
            list_flat(root, train) if is_flat(root / "val") else list_split(root, "val"),
            "",
        )
    if has["train"]:
        other = [name for name in OTHER_VALS if has[name]]
        if other:
            raise UserError(
                f"{root}: has no val/ folder, but {other[0]}/; rename it to val/, or give --data-root {root}/train "
                "to hold out a part of every class"
            )
        folder, files = root / "train", list_split(root, "train")
    else:
        folder, files = root, {name: list_class(root / name) for name in subfolders(root)}
        if has["val"] or not any(files.values()):
            raise UserError(
                f"{root}: has no train/ folder; {LAYOUT}, or a folder of images for every class"
            )
    return *holdout.split(folder, files), str(holdout)


def list_split(root: Path, split: str) -> Files:
    """The image files of every class of one split.

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
    """Tiny-ImageNet's val split: images/* with lines of file, class and box in val_annotations.txt.

    Raises:
        UserError: a line without a class, or with a file that is missing.
    """
    files: Files = {}
    have = {path.name: path for path in image_files(folder / "images")}
    for number, line in enumerate((folder / ANNOTATIONS).read_text().splitlines(), 1):
        if not line.strip():
            continue
        fields = line.split("\t")
        if len(fields) < 2 or fields[0] not in have:
            raise UserError(
                f"{folder / ANNOTATIONS}, line {number}: no class, or no such file in images/; unpack it anew"
            )
        files.setdefault(fields[1], []).append(have[fields[0]])
    return {name: sorted(files[name]) for name in sorted(files)}


def check_same_classes(root: Path, train: Files, val: Files) -> None:
    """Raises UserError where train and val have different classes."""
    for have, lack, extra in (
        ("train", "val", set(train) - set(val)),
        ("val", "train", set(val) - set(train)),
    ):
        if extra:
            raise UserError(
                f"{root}: train and val classes differ: {some_names(extra)} in {have}/ but not in {lack}/; add or remove"
            )


def check_not_empty(dataset: Dataset) -> None:
    """Raises UserError for a class without a readable image."""
    for name, split in (("train", dataset.train), ("val", dataset.val)):
        counts = torch.bincount(split.labels, minlength=len(dataset.classes))
        empty = [dataset.classes[i] for i in (counts == 0).nonzero()[:, 0].tolist()]
        if empty:
            where = dataset.root if dataset.held_out else dataset.root / name
            what = (
                "class without readable images"
                if len(empty) == 1
                else "classes without readable images"
            )
            raise UserError(
                f"{where}: {what}: {some_names(empty)}; add {', '.join(SUFFIXES)} files or remove it"
            )


def is_bad(path: Path) -> bool:
    """Whether PIL would fail on a file. Cheap: a JPEG's header and its last bytes, a PNG's checksums.

    A file that does not end as its format does is decoded in full: it may be truncated or merely have a longer tail.
    """
    try:
        with path.open("rb") as file, Image.open(file) as image:
            kind = image.format or ""
            tail = TAILS.get(kind, b"")
            if tail:
                file.seek(-len(tail), os.SEEK_END)
                complete = file.read() == tail
                file.seek(0)
            if kind == "JPEG" and complete:
                return False
        with Image.open(path) as image:
            if kind == "PNG" and complete:
                image.verify()
            else:
                image.load()
    except BAD_IMAGE:
        return True
    return False


def find_bad(paths: Iterable[Path]) -> set[Path]:
    """The unreadable ones among the files, found in threads."""
    listed = list(paths)
    with no_pixel_limit(), ThreadPoolExecutor(default_threads()) as pool:
        bad: set[Path] = set()
        for start in range(0, len(listed), 4096):
            chunk = listed[start : start + 4096]
            bad.update(
                path for path, broken in zip(chunk, pool.map(is_bad, chunk), strict=True) if broken
            )
    return bad


def to_split(classes: list[str], files: Files) -> Split:
    """Files by class as one list with labels (N,) int64."""
    counts = torch.tensor([len(files[name]) for name in classes])
    return Split(
        [path for name in classes for path in files[name]],
        torch.arange(len(classes)).repeat_interleave(counts),
    )
