"""The folder of caches."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from seit_cl.core.errors import UserError

REMEDY = "set SEIT_CL_CACHE to a folder with enough free space"


def cache_folder() -> Path:
    """Return the folder that holds all caches: SEIT_CL_CACHE, else ~/.cache/seit_cl.

    Raises:
        UserError: the user has no home folder.
    """
    folder = os.environ.get("SEIT_CL_CACHE")
    if folder:
        return Path(folder)
    try:
        return Path.home() / ".cache" / "seit_cl"
    except RuntimeError as error:
        raise UserError(f"HOME: this user has no home folder for the cache; {REMEDY}") from error


@contextmanager
def cache_errors(folder: Path, content: str) -> Iterator[None]:
    """Turn errors of the file system into one line that names a folder of the cache.

    Args:
        folder: of the cache.
        content: what is written there, e.g. "the token cache".

    Raises:
        UserError: the folder cannot be written.
    """
    try:
        yield
    except OSError as error:
        problem = f"{folder}: {content} cannot be written ({error.strerror or error})"
        raise UserError(f"{problem}; {REMEDY}") from error
