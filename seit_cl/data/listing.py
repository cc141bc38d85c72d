"""Which files of a folder are images, and of which class."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

SUFFIXES = (".jpeg", ".jpg", ".png")
Files = dict[str, list[Path]]  # by class


def subfolders(folder: Path) -> list[str]:
    """Names of the folders in a folder, sorted, hidden ones left out."""
    with os.scandir(folder) as entries:
        return sorted(e.name for e in entries if not e.name.startswith(".") and e.is_dir())


def image_files(folder: Path) -> list[Path]:
    """Image files directly in a folder, sorted, hidden ones left out; empty where there is no such folder."""
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        names = [
            e.name
            for e in entries
            if e.name.lower().endswith(SUFFIXES) and not e.name.startswith(".")
        ]
    return [folder / name for name in sorted(names)]


def list_class(folder: Path) -> list[Path]:
    """Image files of one class: in its folder and one folder deeper."""
    return image_files(folder) + [
        path for name in subfolders(folder) for path in image_files(folder / name)
    ]


def some_names(names: Iterable[str]) -> str:
    """A few names for a message."""
    known = sorted(names)
    return ", ".join(known[:3]) + (f" and {len(known) - 3} more" if len(known) > 3 else "")
