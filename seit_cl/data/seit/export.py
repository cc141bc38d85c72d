"""A token file written in the format of the SeiT release (seit_cl.data.seit.release), byte for byte what was read of one."""

from __future__ import annotations

import gzip
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch

from seit_cl.core.errors import UserError
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
from seit_cl.data.token_file import CHUNK, TokenFile, check_codes

LEVEL = 9  # of zlib, Python's own choice for gzip files


def export_release(
    file: TokenFile,
    folder: Path,
    level: int = LEVEL,
    advance: Callable[[int], None] = lambda images: None,
) -> None:
    """Write a release's folder, whole or not at all.

    Args:
        file: the token file, of one code a position.
        folder: to make; it must not be there, or be empty.
        level: of zlib, 0 to 9.
        advance: called with the number of images written since the last call.

    Raises:
        UserError: tokens that the format cannot hold, something else in the folder, or one that cannot be written.
    """
    about = file.metadata
    if file.grid[0] != 1 or about.codebook.shape[1] > LARGEST + 1:
        raise UserError(
            f"{file.path}: {file.grid[0]} codes a position, of {about.codebook.shape[1]:,}; a SeiT release holds "
            f"one, of {LARGEST + 1} at most"
        )
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UserError(f"--out {folder}: is there already; choose another folder")
        folder.parent.mkdir(parents=True, exist_ok=True)
        making = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            _write(file, making, level, advance)
            making.chmod(0o755)
            os.replace(making, folder)
        finally:
            shutil.rmtree(making, ignore_errors=True)
    except OSError as error:
        raise UserError(
            f"--out {folder}: cannot be written ({error.strerror or error}); choose another folder"
        ) from error


def _write(file: TokenFile, folder: Path, level: int, advance: Callable[[int], None]) -> None:
    about = file.metadata
    prefix = about.notes.get("release", about.name)
    for split, tokens in file.tokens.items():
        lengths = []
        with _gzip(folder / f"{prefix}-{split}{DATA}", level) as data:
            for start in range(0, len(tokens), CHUNK):
                block = tokens[start : start + CHUNK]
                check_codes(block, about.codebook.shape[1], start, f"{file.path}: {split}")
                written, offsets = to_bytes(block)
                data.write(written.data)
                lengths.append(np.diff(offsets))
                advance(len(block))
        offsets = (
            np.concatenate([[0], *lengths])
            .cumsum()
            .astype(about.notes.get(f"{split}_offsets", "<i8"))
        )
        with _gzip(folder / f"{prefix}-{split}{INDEX}", level) as index:
            np.save(index, offsets, allow_pickle=False)
        text = labels_text(file.labels[split], about.notes.get(f"{split}_labels_end", "\n"))
        (folder / f"{prefix}-{split}{LABELS}").write_bytes(text.encode())
    torch.save(about.codebook[0].clone(), folder / CODEBOOK)  # torch puts the file's name into it
    if about.synonyms is not None:
        (folder / about.notes.get("synonyms", SYNONYMS)).write_text(synonyms_json(about.synonyms))


@contextmanager
def _gzip(path: Path, level: int) -> Iterator[BinaryIO]:
    """A gzip file to write, whose header has neither name nor time, so that the same bytes make the same file."""
    with open(path, "wb") as raw, gzip.GzipFile("", "wb", level, raw, mtime=0) as file:
        yield file  # type: ignore[misc]
