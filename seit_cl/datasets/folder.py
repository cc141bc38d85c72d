"""Image folders in ImageNet's layout (train/<class>/*, val/<class>/*) and in Tiny-ImageNet's own."""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from PIL import Image

from seit_cl.datasets.base import Dataset, Split
from seit_cl.datasets.images import BAD_IMAGE, default_threads, no_pixel_limit
from seit_cl.errors import UserError

SUFFIXES = (".jpeg", ".jpg", ".png")
ANNOTATIONS = "val_annotations.txt"
TAILS = {"JPEG": b"\xff\xd9", "PNG": b"IEND\xaeB`\x82"}
LAYOUT = "expected train/<class>/*.jpg and val/<class>/*.jpg"
Files = dict[str, list[Path]]


def open_folder(root: Path, skip_bad_images: bool = False) -> Dataset:
    """Lists and checks an image folder before anything runs.

    Args:
        root: holds train/<class>/* and val/<class>/* or one folder deeper, as in train/<class>/images/*;
            Tiny-ImageNet's val/images/* with val/val_annotations.txt works too. Files: .jpeg .jpg .png in any case.
        skip_bad_images: leave unreadable images out and count them instead of stopping.

    Returns:
        The dataset, named after the folder; classes and files are sorted.

    Raises:
        UserError: no such folder, no train, val or class folders, a class without images, train and val classes that
            differ, or an unreadable image.
    """
    root = Path(root)
    if not root.is_dir():
        raise UserError(f"{root}: no such folder; give the folder that holds train/ and val/")
    train, val = list_split(root, "train"), list_split(root, "val")
    check_same_classes(root, train, val)
    check_not_empty(root, train, val)
    bad = find_bad(path for files in (train, val) for paths in files.values() for path in paths)
    if bad and not skip_bad_images:
        more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
        raise UserError(f"{min(bad)}: not a readable image{more}; replace it or use --skip-bad-images")
    train, val = without(train, bad), without(val, bad)
    check_not_empty(root, train, val)
    classes = sorted(train)
    return Dataset(root.resolve().name, root, classes, to_split(classes, train), to_split(classes, val), tuple(sorted(bad)))


def list_split(root: Path, split: str) -> Files:
    """The image files of every class of one split.

    Raises:
        UserError: the split's folder is missing or has no class folders.
    """
    folder = root / split
    if not folder.is_dir():
        raise UserError(f"{root}: has no {split}/ folder; {LAYOUT}")
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


def subfolders(folder: Path) -> list[str]:
    """Names of the folders in a folder, sorted, hidden ones left out."""
    with os.scandir(folder) as entries:
        return sorted(e.name for e in entries if not e.name.startswith(".") and e.is_dir())


def image_files(folder: Path) -> list[Path]:
    """Image files directly in a folder, sorted, hidden ones left out; empty where there is no such folder."""
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        names = [e.name for e in entries if e.name.lower().endswith(SUFFIXES) and not e.name.startswith(".")]
    return [folder / name for name in sorted(names)]


def list_class(folder: Path) -> list[Path]:
    """Image files of one class: in its folder and one folder deeper."""
    return image_files(folder) + [path for name in subfolders(folder) for path in image_files(folder / name)]


def some(names: Iterable[str]) -> str:
    """A few names for a message."""
    known = sorted(names)
    return ", ".join(known[:3]) + (f" and {len(known) - 3} more" if len(known) > 3 else "")


def check_same_classes(root: Path, train: Files, val: Files) -> None:
    """Raises UserError where train and val have different classes."""
    for have, lack, extra in (("train", "val", set(train) - set(val)), ("val", "train", set(val) - set(train))):
        if extra:
            raise UserError(
                f"{root}: train and val classes differ: {some(extra)} in {have}/ but not in {lack}/; add or remove"
            )


def check_not_empty(root: Path, train: Files, val: Files) -> None:
    """Raises UserError for a class without a readable image."""
    for split, files in (("train", train), ("val", val)):
        empty = [name for name, paths in files.items() if not paths]
        if empty:
            what = "class without readable images" if len(empty) == 1 else "classes without readable images"
            raise UserError(f"{root / split}: {what}: {some(empty)}; add {', '.join(SUFFIXES)} files or remove it")


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
            bad.update(path for path, broken in zip(chunk, pool.map(is_bad, chunk), strict=True) if broken)
    return bad


def without(files: Files, bad: set[Path]) -> Files:
    """The same files less the bad ones."""
    return {name: [path for path in paths if path not in bad] for name, paths in files.items()} if bad else files


def to_split(classes: list[str], files: Files) -> Split:
    """Files by class as one list with labels (N,) int64."""
    counts = torch.tensor([len(files[name]) for name in classes])
    return Split(
        [path for name in classes for path in files[name]], torch.arange(len(classes)).repeat_interleave(counts)
    )
