"""Atomic writes, which replace a file as a whole or not at all, and folders that can be written."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from seit_cl.core.errors import UserError


@contextmanager
def atomic_file(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file for writing that replaces `path` when the block ends.

    The data goes to a temporary file in the same folder, is flushed to the disk and then renamed,
    so that readers see the old file or the new one and never a part. If the block raises, the old
    file stays and the temporary file is removed.

    Raises:
        OSError: the folder cannot be written.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_atomic(path: str | os.PathLike[str], data: bytes | str) -> None:
    """Write data (text as UTF-8) to a file that readers see whole or not at all.

    Raises:
        OSError: the folder cannot be written; an existing file is left unchanged.
    """
    with atomic_file(path) as file:
        file.write(data.encode() if isinstance(data, str) else data)


def make_writable_folder(folder: Path, option: str) -> None:
    """Make a folder and try to write in it, before any work is done.

    Args:
        folder: created with its parents if it does not exist.
        option: the command-line option that names the folder, for the message.

    Raises:
        UserError: the folder is a file or cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(
            f"{option} {folder}: cannot be written ({error.strerror}); choose another folder"
        ) from error
