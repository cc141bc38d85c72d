"""The runs that commands are to make in a folder of results, so that others see what is waiting.

Every grid writes a file of its runs' names, named after a digest of them, so that processes that
share a folder never replace each other's.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from seit_cl.core.digests import digest, has_trailer, with_trailer
from seit_cl.core.errors import UserError
from seit_cl.core.files import write_atomic

PATTERN = ".planned-*.json"
REMEDY = "delete it; the command that makes the runs writes it again"


def write_plan(out: Path, folders: Iterable[Path]) -> None:
    """Write the names of runs that are to be made, or are made already.

    Args:
        out: folder of the results, which exists or is made.
        folders: of the runs, in `out`.
    """
    names = [folder.relative_to(out).as_posix() for folder in folders]
    text = json.dumps(names, indent=1).encode()
    out.mkdir(parents=True, exist_ok=True)
    path = out / PATTERN.replace("*", digest(text))
    if not path.exists():
        write_atomic(path, with_trailer(text), sync=False)


def read_plans(out: Path) -> list[Path]:
    """Read the folders of all runs that commands were to make in a folder of results.

    Raises:
        UserError: a file of names is damaged.
    """
    folders: dict[Path, None] = {}
    for path in sorted(out.glob(PATTERN)):
        for name in _names(path):
            folders[out / name] = None
    return list(folders)


def _names(path: Path) -> list[str]:
    """Names of runs in a file, none of which leads out of the folder."""
    data = path.read_bytes()
    if not has_trailer(data, path, REMEDY):
        raise UserError(f"{path}: ends in the middle; {REMEDY}")
    names, _ = json.JSONDecoder().raw_decode(data.decode(errors="replace"))
    if not isinstance(names, list) or not all(map(_is_inside, names)):
        raise UserError(f"{path}: names no folders in {path.parent}; {REMEDY}")
    return names


def _is_inside(name: object) -> bool:
    """True for the relative path of a folder below."""
    path = PurePosixPath(name) if isinstance(name, str) else PurePosixPath()
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts
