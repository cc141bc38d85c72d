"""Listing of the image files in a folder."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

SUFFIXES = (".jpeg", ".jpg", ".png")
Files = dict[str, list[Path]]  # by class


def subfolders(folder: Path) -> list[str]:
    """Names of the subfolders of a folder, sorted, without hidden ones."""
    with os.scandir(folder) as entries:
        return sorted(e.name for e in entries if not e.name.startswith(".") and _is_folder(e))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Return True for a folder and for a link to one; a link in a loop leads nowhere."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _may_be_file(entry: os.DirEntry[str]) -> bool:
    """Return False for folders, pipes, sockets and devices.

    What a link leads to is seen when it is opened: a broken one is a missing image, which is to be
    named.
    """
    return entry.is_file(follow_symlinks=False) or (entry.is_symlink() and not _is_folder(entry))


def image_files(folder: Path) -> list[Path]:
    """Image files directly in a folder, sorted, without hidden ones; empty if it does not exist."""
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        names = [
            entry.name
            for entry in entries
            if entry.name.lower().endswith(SUFFIXES)
            and not entry.name.startswith(".")
            and _may_be_file(entry)
        ]
    return [folder / name for name in sorted(names)]


def list_class(folder: Path) -> list[Path]:
    """Image files of one class: in its folder and one folder deeper."""
    files = image_files(folder)
    for name in subfolders(folder):
        files += image_files(folder / name)
    return files


def some_names(names: Iterable[str]) -> str:
    """The first three names and the number of others, for a message."""
    ordered = sorted(names)
    text = ", ".join(ordered[:3])
    if len(ordered) > 3:
        text += f" and {len(ordered) - 3} more"
    return text
