"""Files of torch.save, read without unpickling objects: the project's own, and those of others."""

from __future__ import annotations

import io
import mmap
import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from seit_cl.core.digests import damaged, has_trailer, is_whole_zip, with_trailer
from seit_cl.core.errors import UserError
from seit_cl.core.files import write_atomic
from seit_cl.core.notes import note_no_digest

# Phrases in torch.load's error for a file that cannot be unpickled safely.
PICKLED_OBJECT = ("Unsupported global", "Unsupported class")


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
        if not has_trailer(data, path, remedy):
            if data.startswith(b"PK") and not is_whole_zip(data):
                raise damaged(path, remedy)
            note_no_digest(path)
        return torch.load(io.BytesIO(data), weights_only=True, map_location="cpu")
    except UserError:
        raise
    except Exception as error:
        reason = type(error).__name__
        raise UserError(f"{path}: not a readable checkpoint ({reason}); {remedy}") from error


def load_tensors(path: Path) -> Any:
    """Load a file of torch.save on the CPU: tensors, numbers, strings and containers of them.

    A checkpoint of this project's is compared with its digest.

    Raises:
        UserError: no such file, a damaged one, or one that holds a pickled object.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; give a checkpoint of torch.save")
    try:
        _check_trailer(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except UserError:
        raise
    except pickle.UnpicklingError as error:
        if any(words in str(error) for words in PICKLED_OBJECT):
            raise UserError(
                f"{path}: holds a pickled object, which could run any code, and is not opened; "
                "where you trust it, save its weights with the code that it needs: "
                "torch.save(torch.load(OLD, weights_only=False).state_dict(), NEW), and give NEW"
            ) from error
        raise UserError(f"{path}: no checkpoint of torch.save, or damaged; get it again") from error
    except Exception as error:
        raise UserError(
            f"{path}: no checkpoint of torch.save, or damaged ({type(error).__name__}); "
            "get it again"
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
