"""Pickled objects in files that torch.load has refused, found without running anything."""

from __future__ import annotations

import io
import pickletools
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

OBJECT = "holds a pickled object, which could run any code, and is not opened"
LONGEST = 1 << 26  # bytes that are searched for the names of objects
# Phrases in torch.load's error for a file that cannot be unpickled safely.
_PHRASES = ("Unsupported global", "Unsupported class", "unsupported GLOBAL")
_PARTS = ("torch", "collections", "numpy")  # packages of what torch.save writes of tensors
_STRINGS = ("UNICODE", "STRING")
_CALLS = ("INST", "OBJ", "EXT1", "EXT2", "EXT4")  # that torch.save does not write


def holds_object(path: Path, error: Exception) -> bool:
    """True if a file that torch.load has refused holds something else than tensors.

    Args:
        path: the file; it is searched, nothing in it is run.
        error: raised by torch.load with weights_only.
    """
    if any(words in str(error) for words in _PHRASES):
        return True
    try:
        with path.open("rb") as file:
            return any(map(_is_foreign, _names(file)))
    except Exception:  # of zipfile and pickletools, which read damaged files too
        return False


def _is_foreign(name: str) -> bool:
    """True for the name of an object that is no part of a tensor's file."""
    return name.partition(".")[0] not in _PARTS


def _names(file: BinaryIO) -> Iterator[str]:
    """Names of the objects in a zip of torch.save, or in a stream of pickles, until its damage."""
    if not zipfile.is_zipfile(file):
        file.seek(0)
        yield from _names_in_stream(io.BytesIO(file.read(LONGEST)))
        return
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            if member.filename.endswith(".pkl"):
                with archive.open(member) as part:
                    yield from _names_in_stream(io.BytesIO(part.read(LONGEST)))


def _names_in_stream(stream: BinaryIO) -> Iterator[str]:
    """Names in pickles, each of which is read to its end, since any text begins like one."""
    while True:
        names = []
        texts: list[str] = []  # that name an object of protocol 4
        for code, argument, _ in pickletools.genops(stream):
            if code.name == "GLOBAL":
                names.append(str(argument).replace(" ", "."))
            elif code.name == "STACK_GLOBAL":
                names.append(".".join(texts[-2:]))
            elif code.name in _CALLS:
                names.append(code.name)
            elif any(kind in code.name for kind in _STRINGS):
                texts = [*texts[-1:], str(argument)]
        yield from names  # genops raises ValueError at the end of the stream
