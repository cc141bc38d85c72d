"""Export of a token file to the folder of a SeiT release, byte for byte as it was imported."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch

from seit_cl.core.errors import UserError
from seit_cl.core.files import sweep, temporary_folder
from seit_cl.core.names import safe_name
from seit_cl.data.seit.codes import LARGEST, to_bytes
from seit_cl.data.seit.release import (
    CODEBOOK,
    DATA,
    INDEX,
    LABELS,
    SYNONYMS,
    labels_text,
    synonyms_json,
)
from seit_cl.data.token_file import CHUNK, TokenFile

OFFSET_TYPES = ("<i8", "<u8", "<i4", "<u4", ">i8", ">u8", ">i4", ">u4", "<i2", "<u2", ">i2", ">u2")
LEVEL = 9  # of zlib; Python's default for gzip files


def export_release(
    file: TokenFile,
    folder: Path,
    level: int = LEVEL,
    advance: Callable[[int], None] = lambda images: None,
) -> None:
    """Write the folder of a release, which appears when it is complete.

    Args:
        file: the token file, with one code at each position. Its names of files are those of the
            release that it was imported from, if they are base names of safe characters.
        folder: folder to create; it must not exist, or be empty.
        level: compression level of zlib, 0 to 9.
        advance: called with the number of images written since the last call.

    Raises:
        UserError: tokens that the format cannot represent, a folder that is not empty, or one that
            cannot be written.
    """
    codes = file.metadata.codebook.shape[1]
    if file.grid[0] != 1 or codes > LARGEST + 1:
        raise UserError(
            f"{file.path}: {file.grid[0]} codes a position, of {codes:,}; a SeiT release holds "
            f"one, of {LARGEST + 1} at most"
        )
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UserError(f"--out {folder}: exists already; choose another folder")
        sweep(folder.parent, folder.name)
        with temporary_folder(folder) as temporary:
            _write_all(file, temporary, level, advance)
            os.replace(temporary, folder)
    except OSError as error:
        raise UserError(
            f"--out {folder}: cannot be written ({error.strerror or error}); choose another folder"
        ) from error


def _write_all(file: TokenFile, folder: Path, level: int, advance: Callable[[int], None]) -> None:
    """Write all files of a release."""
    metadata = file.metadata
    notes = metadata.notes
    prefix = safe_name(notes.get("release", metadata.name), "tokens")
    for split in file.tokens:
        stem = f"{prefix}-{split}"
        offsets = _write_tokens(file, split, folder / f"{stem}{DATA}", level, advance)
        with _gzip(folder / f"{stem}{INDEX}", level) as index:
            offset_type = _offset_type(notes.get(f"{split}_offsets", ""), int(offsets[-1]))
            np.save(index, offsets.astype(offset_type), allow_pickle=False)
        end = "" if notes.get(f"{split}_labels_end") == "" else "\n"
        text = labels_text(file.labels[split], end)
        (folder / f"{stem}{LABELS}").write_bytes(text.encode())
    # torch puts the name of the file into its contents.
    torch.save(metadata.codebook[0].clone(), folder / CODEBOOK)
    if metadata.synonyms is not None:
        name = safe_name(notes.get("synonyms", SYNONYMS), SYNONYMS)
        # The reader finds the table by the end of its name.
        synonyms_file = folder / (name if name.endswith(SYNONYMS) else SYNONYMS)
        synonyms_file.write_text(synonyms_json(metadata.synonyms))


def _offset_type(text: str, largest: int) -> str:
    """The type of the offsets in the release: as the token file has it, if they fit into it."""
    if text not in OFFSET_TYPES or largest > np.iinfo(text).max:
        return OFFSET_TYPES[0]
    return text


def _write_tokens(
    file: TokenFile, split: str, path: Path, level: int, advance: Callable[[int], None]
) -> np.ndarray:
    """Write the token data of a split and return the offsets (N + 1,) int64 of its images."""
    tokens = file.tokens[split]
    lengths = [np.zeros(1, np.int64)]
    with _gzip(path, level) as data:
        for start in range(0, len(tokens), CHUNK):
            block = tokens[start : start + CHUNK]
            block_bytes, block_offsets = to_bytes(block)
            data.write(block_bytes.data)
            lengths.append(np.diff(block_offsets))
            advance(len(block))
    return np.concatenate(lengths).cumsum()


@contextmanager
def _gzip(path: Path, level: int) -> Iterator[BinaryIO]:
    """A gzip file without name and time in its header, so that equal bytes make equal files."""
    with open(path, "wb") as raw, gzip.GzipFile("", "wb", level, raw, mtime=0) as file:
        yield file  # type: ignore[misc]
