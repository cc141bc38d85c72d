"""Digests of the project's own files, which every reader compares before it uses a file.

A digest is XXH3 of 64 bits (https://xxhash.com), as 16 hexadecimal digits: it tells damage from
the bytes that were written, at the speed of memory. It does not keep anybody from forging a file.

- A safetensors file has it in its header's metadata, over the whole file with zeros in its place.
- Other files end in it: a line of 33 bytes, which in a zip archive is the archive's comment.
- The files of a finished run are listed with theirs in its manifest (seit_cl.results.manifest).
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import xxhash

from seit_cl.core.errors import UserError

DIGEST = "seit_cl.digest"  # entry of a header's metadata
# A second entry: without it, damage to the name of the first would make a file without a digest.
KIND = "seit_cl.digest_kind"
ALGORITHM = "xxh3-64"
ZEROS = "0" * 16
BLOCK = 1 << 22  # bytes that are read at a time
_LENGTH = 8  # bytes of a safetensors header's length, before the header
_MAX_HEADER = 100_000_000  # bytes, the limit of the safetensors library
_ENTRY = re.compile(rb'"seit_cl\.digest": ?"([0-9a-f]{16})"')
_NAMES = (b'"seit_cl.digest"', b'"seit_cl.digest_kind"')
HEADER = "seit_cl.header"  # entry of a header's metadata, for the digest of the header alone
_HEADER_ENTRY = re.compile(rb'"seit_cl\.header": ?"([0-9a-f]{16})"')
_HEADER_NAMES = (b'"seit_cl.header"', b'"seit_cl.small"', b'"seit_cl.blocks.')
_MARK = b"\nseit_cl xxh3-64 "
TRAILER = len(_MARK) + len(ZEROS)
_ZIP_END = b"PK\x05\x06"
_ZIP_END_BYTES = 22  # of an archive without a comment


class Damaged(UserError):
    """A file whose contents are not those that its digest was made of."""


def damaged(path: object, remedy: str) -> Damaged:
    """Make the error for a file that differs from its digest.

    Args:
        path: the file.
        remedy: what to do about it.
    """
    return Damaged(f"{path}: damaged, its contents differ from its digest; {remedy}")


def digest(*parts: bytes | memoryview) -> str:
    """Digest bytes that follow one another to 16 hexadecimal digits."""
    state = xxhash.xxh3_64()
    for part in parts:
        state.update(part)
    return state.hexdigest()


def file_digest(path: Path) -> str:
    """Digest a file's bytes to 16 hexadecimal digits.

    Raises:
        OSError: it cannot be read.
    """
    state = xxhash.xxh3_64()
    with open(path, "rb") as file:
        while block := file.read(BLOCK):
            state.update(block)
    return state.hexdigest()


# ---------------------------------------------------------------- safetensors files
def unsealed_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    """Metadata without the entries that belong to the digest."""
    return {name: text for name, text in metadata.items() if name not in (DIGEST, KIND)}


def sealing_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    """Metadata with room for a digest, for the bytes that `sealed` takes."""
    return {**metadata, DIGEST: ZEROS, KIND: ALGORITHM}


def sealed(header: bytes, *tensors: memoryview) -> bytes:
    """Write the digest of a safetensors file into its header.

    Args:
        header: with the metadata of `sealing_metadata`.
        tensors: the parts of the file after it.
    """
    place = _place(header)
    assert place is not None
    return header[: place[0]] + digest(header, *tensors).encode() + header[place[1] :]


def is_sealed(path: Path, remedy: str) -> bool:
    """Compare a safetensors file with the digest in its header.

    Args:
        path: the file; one that is no safetensors file is left to its reader.
        remedy: what to do about a damaged file, for the message.

    Returns:
        False where the header has no digest: a file of another project, or of an earlier version.

    Raises:
        Damaged: the contents differ from the digest.
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        size = file.seek(0, 2)
        if size <= _LENGTH:
            return False
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data, memoryview(data) as view:
            end = _header_end(view)
            header = bytes(view[: min(end, _MAX_HEADER)])
            if not any(name in header for name in _NAMES):
                return False
            place = _place(header)
            if place is None or not all(name in header for name in _NAMES):
                raise damaged(path, remedy)
            blank = header[: place[0]] + ZEROS.encode() + header[place[1] :]
            with view[end:] as tensors:
                found = digest(blank, tensors)
    if found.encode() != header[place[0] : place[1]]:
        raise damaged(path, remedy)
    return True


def _header_end(data: bytes | memoryview) -> int:
    """End of a safetensors header, at most that of the data."""
    length = int.from_bytes(data[:_LENGTH], "little")
    return min(_LENGTH + length, len(data))


def _place(header: bytes) -> tuple[int, int] | None:
    """Start and end of the digest in a header; None where there is none, or several."""
    found = list(_ENTRY.finditer(header))
    return found[0].span(1) if len(found) == 1 else None


# ---------------------------------------------------------------- headers alone
def sealed_header(
    header: Callable[[Mapping[str, str]], bytes], metadata: Mapping[str, str]
) -> bytes:
    """Make a safetensors header with the digest of its own bytes, with zeros in its place.

    The metadata may have digests of parts of the file, which are compared when they are read.

    Args:
        header: makes a header with its length of metadata.
        metadata: without the digest of the header.
    """
    own = digest(header({**metadata, HEADER: ZEROS}))
    return header({**metadata, HEADER: own})


def check_header(path: Path, remedy: str) -> bool:
    """Compare a safetensors header with its digest.

    Args:
        path: the file; one that is no safetensors file is left to its reader.
        remedy: what to do about a damaged file, for the message.

    Returns:
        False where it has none: a file of another project, or of an earlier version.

    Raises:
        Damaged: the header differs from it.
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        start = file.read(_LENGTH)
        header = start + file.read(min(int.from_bytes(start, "little"), _MAX_HEADER))
    if not any(name in header for name in _HEADER_NAMES):
        return False
    found = list(_HEADER_ENTRY.finditer(header))
    if len(found) != 1:
        raise damaged(path, remedy)
    start_of_digest, end = found[0].span(1)
    blank = header[:start_of_digest] + ZEROS.encode() + header[end:]
    if digest(blank).encode() != header[start_of_digest:end]:
        raise damaged(path, remedy)
    return True


# ---------------------------------------------------------------- files that end in their digest
def with_trailer(data: bytes) -> bytes:
    """Bytes of a file followed by their digest; a zip archive stays one."""
    if data[-_ZIP_END_BYTES:].startswith(_ZIP_END):
        data = data[:-2] + TRAILER.to_bytes(2, "little")
    return data + _MARK + digest(data).encode()


def has_trailer(data: bytes | memoryview, path: object, remedy: str) -> bool:
    """Compare a file's bytes with the digest that they end in.

    Args:
        data: of the file.
        path: the file, for the message.
        remedy: what to do about a damaged file, for the message.

    Returns:
        False where there is no digest.

    Raises:
        Damaged: the bytes before the digest differ from it.
    """
    end = len(data) - TRAILER
    if end < 0 or bytes(data[end : end + len(_MARK)]) != _MARK:
        return False
    with memoryview(data)[:end] as contents:
        found = digest(contents)
    if found.encode() != bytes(data[end + len(_MARK) :]):
        raise damaged(path, remedy)
    return True


def is_whole_zip(data: bytes | memoryview) -> bool:
    """Return True for bytes that end as a zip archive without a comment does."""
    end = bytes(data[-_ZIP_END_BYTES:])
    return end.startswith(_ZIP_END) and end.endswith(b"\0\0")
