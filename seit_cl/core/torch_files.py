"""Files of torch.save, read without unpickling objects: the project's own, and those of others."""

from __future__ import annotations

import io
import mmap
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from seit_cl.core.digests import BLOCK, damaged, has_trailer, is_whole_zip, with_trailer
from seit_cl.core.errors import UserError, one_line
from seit_cl.core.files import write_atomic
from seit_cl.core.notes import note_no_digest
from seit_cl.core.pickled_objects import OBJECT, holds_object


def save_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write a state and its digest with torch.save, atomically.

    Args:
        path: the file.
        state: tensors, numbers, strings and containers of them.

    Raises:
        OSError: the folder cannot be written.
    """
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    write_atomic(path, with_trailer(buffer.getvalue()))


def load_state(path: Path, remedy: str) -> Any:
    """Load a file of `save_state` on the CPU, after comparing it with its digest.

    A file of an earlier version, without a digest, is noted.

    Args:
        path: the file.
        remedy: what to do about a damaged file, for the message.

    Raises:
        UserError: it cannot be read, is damaged, or is none of torch.save.
    """
    try:
        data = path.read_bytes()
        has_digest = has_trailer(data, path, remedy)
        if not has_digest and data.startswith(b"PK") and not is_whole_zip(data):
            raise damaged(path, remedy)
        state = torch.load(io.BytesIO(data), weights_only=True, map_location="cpu")
        if not has_digest:
            note_no_digest(path)
        return state
    except UserError:
        raise
    except Exception as error:
        if holds_object(path, error):
            raise UserError(f"{path}: {OBJECT}; {remedy}") from error
        reason = type(error).__name__
        raise UserError(f"{path}: not a readable checkpoint ({reason}); {remedy}") from error


def load_tensors(path: Path) -> Any:
    """Load a file of torch.save on the CPU: tensors, numbers, strings and containers of them.

    A checkpoint of this project's is compared with its digest.

    Raises:
        UserError: no such file, a damaged one, one that holds a pickled object, or a tensor that is
            sparse or otherwise takes less of the file than memory.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; give a checkpoint of torch.save")
    try:
        _check_trailer(path)
        _check_archive(path)
        loaded = torch.load(path, map_location="cpu", weights_only=True)
        _check_plain(loaded)
        return loaded
    except UserError:
        raise
    except Exception as error:
        if holds_object(path, error):
            raise UserError(
                f"{path}: {OBJECT}; "
                "where you trust it, load it by torch.load(OLD, weights_only=False) with the code "
                "that it needs, and torch.save its weights alone: state_dict() of a module, or the "
                "entry of a dict that holds them, such as ['state_dict'], ['ema'] or ['model']"
            ) from error
        raise UserError(
            f"{path}: no checkpoint of torch.save, or damaged "
            f"({type(error).__name__}: {one_line(error)}); get it again"
        ) from error


def _check_trailer(path: Path) -> None:
    """Compare a file with the digest that it ends in; one of another project has none.

    Raises:
        Damaged: it differs.
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        if size == 0:
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data, memoryview(data) as view:
            has_trailer(view, path, "get it again")


def _check_archive(path: Path) -> None:
    """Refuse a compressed archive, and one with an entry that differs from its CRC-32.

    torch.save stores, while a few bytes may unpack to any number. torch.load compares no checksum.

    Raises:
        ValueError: its entries are larger than the file, or one is damaged.
    """
    if not zipfile.is_zipfile(path):
        return  # the format of torch before 1.6, which torch.load tells from other files
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        size = sum(entry.file_size for entry in entries)
        if size > path.stat().st_size:
            raise ValueError(f"entries of {size:,} bytes in a smaller file")
        damaged_entries = [entry.filename for entry in entries if not _is_whole(archive, entry)]
    # torch writes none at all where torch.serialization.set_crc32_options(False) says so.
    if damaged_entries and len(damaged_entries) < len(entries):
        raise ValueError(f"{damaged_entries[0]} in it differs from its CRC-32")


def _is_whole(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bool:
    """Compare an entry with its CRC-32."""
    try:
        with archive.open(entry) as file:
            while file.read(BLOCK):
                pass
    except zipfile.BadZipFile:
        return False
    return True


def _check_plain(loaded: Any) -> None:
    """Refuse tensors that hold fewer values than their shape says.

    Raises:
        ValueError: giving the shape.
    """
    waiting = [loaded]
    seen: set[int] = set()  # containers may hold themselves
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, Mapping):
            waiting += value.values()
        elif isinstance(value, list | tuple | set):
            waiting += value
        elif isinstance(value, torch.Tensor) and not _is_plain(value):
            shape = " x ".join(map(str, value.shape))
            raise ValueError(f"a tensor of {shape} that is sparse, expanded or of another kind")


def _is_plain(tensor: torch.Tensor) -> bool:
    """Return True for a tensor whose every value is stored."""
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.device.type != "cpu":
        return False
    return tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()
