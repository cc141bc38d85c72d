"""The token cache: a dataset's tokens, computed once and kept in a safetensors file."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from seit_cl.core.cache import cache_folder
from seit_cl.core.errors import UserError
from seit_cl.core.files import write_atomic
from seit_cl.data.base import Dataset
from seit_cl.tokenizers._encoding import encode_files
from seit_cl.tokenizers.base import Tokenizer


def cached_tokens(
    dataset: Dataset,
    tokenizer: Tokenizer,
    resolution: int,
    done: Callable[[int], None] = lambda images: None,
) -> tuple[Tensor, Tensor]:
    """Tokens of the train and the val split, from the cache where they are there.

    Args:
        dataset: its manifest is part of the key.
        tokenizer: its identity is part of the key.
        resolution: image side S in pixels.
        done: called with 0 when tokenizing starts, then with the number of images tokenized since the last call.

    Returns:
        (N, G, H, W) int16 of train and of val.

    Raises:
        UserError: the cache folder cannot be written.
    """
    path = _path(dataset, tokenizer, resolution)
    found = _read(path, dataset)
    if found is not None:
        return found
    with _writable(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    done(0)
    began = time.monotonic()
    tensors = {
        "train": encode_files(dataset.train.paths, tokenizer, resolution, done),
        "val": encode_files(dataset.val.paths, tokenizer, resolution, done),
    }
    with _writable(path.parent):
        write_atomic(
            path,
            save(
                tensors,
                {
                    "seconds": f"{time.monotonic() - began:.3f}",
                    "cores": str(torch.get_num_threads()),
                },
            ),
        )
    return tensors["train"], tensors["val"]


def tokenizing_time(
    dataset: Dataset, tokenizer: Tokenizer, resolution: int
) -> tuple[float, int] | None:
    """Seconds that tokenizing a cached dataset took, reading its files included, and threads that it could use; None where it
    was not noted."""
    try:
        with safe_open(str(_path(dataset, tokenizer, resolution)), framework="pt") as file:
            noted = file.metadata() or {}
    except (SafetensorError, OSError):
        return None
    return (float(noted["seconds"]), int(noted["cores"])) if "seconds" in noted else None


def _path(dataset: Dataset, tokenizer: Tokenizer, resolution: int) -> Path:
    return (
        cache_folder()
        / "tokens"
        / f"{dataset.manifest}-{tokenizer.identity}-{resolution}.safetensors"
    )


def _read(path: Path, dataset: Dataset) -> tuple[Tensor, Tensor] | None:
    """Train and val tokens of a cache file; None where it is absent or damaged, so that it is made again."""
    try:
        with safe_open(str(path), framework="pt") as file:
            train, val = file.get_tensor("train"), file.get_tensor("val")
    except (SafetensorError, OSError):
        return None
    return (
        (train, val) if (len(train), len(val)) == (len(dataset.train), len(dataset.val)) else None
    )


@contextmanager
def _writable(folder: Path) -> Iterator[None]:
    """What the system refuses becomes one line that names the folder."""
    try:
        yield
    except OSError as error:
        problem = f"{folder}: the token cache cannot be written ({error.strerror or error})"
        raise UserError(f"{problem}; set SEIT_CL_CACHE to a folder with room") from error
