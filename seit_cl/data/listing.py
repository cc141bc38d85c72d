"""Listing of the image files in a folder, and of what is left out of it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

# Kinds of files that Pillow decodes and that data sets and photographs come in. Of a file with
# several frames (GIF, TIFF, WebP) the first one is the image.
SUFFIXES = (
    *(".jpeg", ".jpg", ".jpe", ".jfif", ".png", ".webp", ".avif", ".bmp", ".gif"),
    *(".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".jp2"),
)
KINDS = "JPEG, PNG, WebP, AVIF, BMP, GIF, TIFF, PPM or JPEG 2000"  # SUFFIXES in messages
# Files that come with images and hold none.
ABOUT_IMAGES = (
    *(".txt", ".csv", ".tsv", ".json", ".jsonl", ".xml", ".yaml", ".yml", ".md", ".html"),
    *(".mat", ".db", ".ini", ".py"),
)
Files = dict[str, list[Path]]  # by class
_EXAMPLES = 3  # kinds of files that are named


@dataclass
class LeftOut:
    """Files and folders below a root that are not taken as images, counted for one line.

    Args:
        root: paths are named relative to it.
    """

    root: Path
    _kinds: dict[str, list[Path]] = field(default_factory=dict)  # files by suffix
    _no_files: list[Path] = field(default_factory=list)  # links that lead to none, pipes, devices
    _reasons: list[str] = field(default_factory=list)

    def add_file(self, path: Path) -> None:
        """Count a file of a kind that is not read, unless it holds no image."""
        suffix = path.suffix.lower()
        if not os.path.isfile(path):
            self._no_files.append(path)
        elif suffix not in ABOUT_IMAGES:
            self._kinds.setdefault(suffix, []).append(path)

    def add_reason(self, text: str) -> None:
        """Add a clause about anything else that is left out."""
        self._reasons.append(text)

    def add_outside(self, folder: Path) -> None:
        """Count the images directly in a folder of class folders."""
        outside = image_files(folder, self)
        if outside:
            count = f"{len(outside):,} {'image' if len(outside) == 1 else 'images'}"
            self.add_reason(
                f"{count} outside of the class folders, such as {self._name(outside[0])} (move "
                "them into one)"
            )

    def _name(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()

    def line(self) -> str:
        """Describe what is left out, and the remedy, in one line; "" where nothing is."""
        clauses = []
        kinds = sorted(self._kinds.items(), key=lambda kind: -len(kind[1]))
        for suffix, paths in kinds[:_EXAMPLES]:
            kind = suffix or "suffix-less"
            noun = "file" if len(paths) == 1 else "files"
            clauses.append(f"{len(paths):,} {kind} {noun}, such as {self._name(paths[0])}")
        others = sum(len(paths) for _, paths in kinds[_EXAMPLES:])
        if others:
            clauses.append(f"{others:,} of other kinds")
        if clauses:
            clauses[-1] += f" (images must be {KINDS}, with the suffix of their kind: convert them)"
        if self._no_files:
            noun = "is no file" if len(self._no_files) == 1 else "are no files"
            clauses.append(
                f"{len(self._no_files):,} that {noun}, such as {self._name(self._no_files[0])} (a "
                "link that leads nowhere or to a folder around it, a pipe or a device)"
            )
        clauses += self._reasons
        return f"{self.root}: left out are {'; '.join(clauses)}" if clauses else ""


def subfolders(folder: Path) -> list[str]:
    """Names of the subfolders of a folder, sorted, without hidden ones."""
    with os.scandir(folder) as entries:
        return sorted(e.name for e in entries if not e.name.startswith(".") and _is_folder(e))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Return True for a folder, and for a link to one that does not hold the link itself."""
    try:
        return entry.is_dir() and not (entry.is_symlink() and _holds(entry.path))
    except OSError:  # of a link that leads to itself
        return False


def _holds(link: str) -> bool:
    """Return True for a link to a folder that it is in, whose classes would all be of one class."""
    target = os.path.realpath(link)
    inside = os.path.realpath(os.path.dirname(link))
    return os.path.commonpath([target, inside]) == target


def _may_be_file(entry: os.DirEntry[str]) -> bool:
    """Return False for a pipe, a socket or a device, among what is no folder.

    What a link leads to is seen when it is opened: a broken one is a missing image, which is to be
    named.
    """
    return entry.is_file(follow_symlinks=False) or entry.is_symlink()


def image_files(folder: Path, left_out: LeftOut | None = None) -> list[Path]:
    """Image files directly in a folder, sorted, without hidden ones; empty if it does not exist.

    Args:
        folder: to list.
        left_out: counts the other files.
    """
    if not folder.is_dir():
        return []
    names = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(".") or _is_folder(entry):
                continue
            if _may_be_file(entry) and entry.name.lower().endswith(SUFFIXES):
                names.append(entry.name)
            elif left_out is not None:
                left_out.add_file(folder / entry.name)
    return [folder / name for name in sorted(names)]


def walk(folder: Path, left_out: LeftOut | None = None) -> Iterator[list[Path]]:
    """Image files of a folder and then of its subfolders, as deep as they go, folder by folder.

    A link to a folder that holds it is not followed.

    Args:
        folder: to list.
        left_out: counts the other files.
    """
    return _walk(folder, left_out, ())


def _walk(folder: Path, left_out: LeftOut | None, above: tuple[str, ...]) -> Iterator[list[Path]]:
    """As `walk`; `above` are the real paths of the folders around it."""
    real = os.path.realpath(folder)
    if real in above:
        return
    yield image_files(folder, left_out)
    for name in subfolders(folder):
        yield from _walk(folder / name, left_out, (*above, real))


def has_images(folder: Path) -> bool:
    """Return True if there is an image in a folder or below."""
    return any(walk(folder))


def list_class(folder: Path, left_out: LeftOut | None = None) -> list[Path]:
    """Image files of one class: in its folder and in all folders below.

    Args:
        folder: of the class.
        left_out: counts the other files.
    """
    return [path for files in walk(folder, left_out) for path in files]


def some_names(names: Iterable[str]) -> str:
    """The first three names and the number of others, for a message."""
    ordered = sorted(names)
    text = ", ".join(ordered[:3])
    if len(ordered) > 3:
        text += f" and {len(ordered) - 3} more"
    return text
