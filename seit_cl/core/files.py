"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write that takes its place at path, by rename, when the block ends: readers see the old one or the new one,
    never a part. Where the block raises, what was at path is untouched and nothing is left.

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


def write_atomic(path: Path, data: bytes | str) -> None:
    """Puts data (text as UTF-8) at path: readers see the old file or the new one, never a part.

    Raises:
        OSError: the folder cannot be written; what was at path is untouched.
    """
    with replacing(path) as file:
        file.write(data.encode() if isinstance(data, str) else data)
