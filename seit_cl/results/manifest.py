"""The manifest of a finished run: its files with their sizes and digests, written after all others.

A finished run is believed as far as its manifest vouches for it. Runs of earlier versions have none
and are read as they are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from seit_cl.core.digests import digest, file_digest
from seit_cl.core.files import write_atomic

NAME = "manifest.json"
# Files that results are read from.
RESULTS = (
    "config.yaml",
    "environment.json",
    "facts.json",
    "accuracy.csv",
    "memory.csv",
    "anytime.csv",
    "confusion.csv",
    "losses.csv",
    "exemplars.npz",
)
# Files that have a checksum of their own, so that a reader of results looks at their size alone.
LARGE = ("memory.bin", "model.safetensors")
MAY_BE_DELETED = ("exemplars.npz", *LARGE)  # by people who need the space; results stay whole
REMEDY = "restore it, or delete the folder to run it again"


@dataclass(frozen=True)
class Entry:
    """A file of a run.

    Args:
        bytes: its size.
        xxh3_64: 16 hexadecimal digits of its contents.
    """

    bytes: int
    xxh3_64: str


Manifest = Mapping[str, Entry]  # by the file's name


def write_manifest(run_dir: Path) -> None:
    """List the files of a run that has nothing more to write.

    Raises:
        OSError: a file cannot be read, or the folder not be written.
    """
    entries = {}
    for name in (*RESULTS, *LARGE):
        path = run_dir / name
        if path.is_file():
            entries[name] = Entry(path.stat().st_size, file_digest(path))
    write_atomic(run_dir / NAME, _text(entries))


def read_manifest(path: Path) -> Manifest:
    """Read a manifest.

    Raises:
        ValueError: it is damaged.
        OSError: it cannot be read.
    """
    text = path.read_bytes().decode(errors="replace")
    try:
        listed = json.loads(text)["files"]
        entries = {name: Entry(**entry) for name, entry in listed.items()}
        is_whole = _text(entries) == text
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        is_whole = False
    if not is_whole:
        raise ValueError(f"damaged; {REMEDY}")
    return entries


def _text(entries: Manifest) -> str:
    """The manifest's only spelling, with a digest of the list itself."""
    files = {name: asdict(entry) for name, entry in entries.items()}
    listed: dict[str, Any] = {"files": files}
    own = digest(json.dumps(listed).encode())
    return json.dumps({**listed, "digest": own}, indent=1) + "\n"


def find_differences(run_dir: Path, manifest: Manifest) -> list[str]:
    """Compare the files of a run with its manifest.

    Returns:
        A line for each file that differs; an empty list for a sound run.
    """
    problems = []
    for name in RESULTS:
        problems += _difference(run_dir / name, manifest.get(name), contents=True)
    for name in LARGE:
        problems += _difference(run_dir / name, manifest.get(name), contents=False)
    return problems


def _difference(path: Path, entry: Entry | None, contents: bool) -> list[str]:
    """A line on a file that differs from its entry, of which None stands for a file not listed."""
    if not path.is_file():
        if entry is None or path.name in MAY_BE_DELETED:
            return []
        return [f"{path.name}: missing, {NAME} lists it; {REMEDY}"]
    if entry is None:
        return [f"{path.name}: not listed in {NAME}; remove it, or delete the folder"]
    size = path.stat().st_size
    if size != entry.bytes:
        return [f"{path.name}: {size:,} bytes, {NAME} says {entry.bytes:,}; {REMEDY}"]
    if contents and file_digest(path) != entry.xxh3_64:
        return [f"{path.name}: changed since the run ended, {NAME} has another digest; {REMEDY}"]
    return []
