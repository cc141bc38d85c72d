"""The token cache: a dataset is tokenized once, into a safetensors file for all later runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from seit_cl.core.cache import cache_errors, cache_folder
from seit_cl.core.files import make_folder, sweep, write_atomic
from seit_cl.data.base import Dataset
from seit_cl.tokenizers._encoding import encode_files
from seit_cl.tokenizers.base import Tokenizer

CONTENT = "the token cache"


def cached_tokens(
    dataset: Dataset,
    tokenizer: Tokenizer,
    resolution: int,
    progress: Callable[[int], None] = lambda images: None,
) -> tuple[Tensor, Tensor]:
    """Read the tokens of the train and val split from the cache, or compute and store them.

    They stay in the file until they are used, and all processes that use them share one copy.

    Args:
        dataset: its manifest is part of the key.
        tokenizer: its identity is part of the key.
        resolution: image side S in pixels.
        progress: called with 0 when tokenizing starts, then with the number of images tokenized
            since the last call.

    Returns:
        Tokens of train and of val, each (N, G, H, W) int16.

    Raises:
        UserError: the cache folder cannot be written.
    """
    path = _cache_path(dataset, tokenizer, resolution)
    sweep(path.parent, ours=True)
    cached = _read(path, dataset)
    if cached is not None:
        return cached
    with cache_errors(path.parent, CONTENT):
        path.parent.mkdir(parents=True, exist_ok=True)
    progress(0)
    started = time.monotonic()
    train = encode_files(dataset.train.images, tokenizer, resolution, progress)
    val = encode_files(dataset.val.images, tokenizer, resolution, progress)
    store_tokens(dataset, tokenizer, resolution, train, val, started)
    return _read(path, dataset) or (train, val)


def store_tokens(
    dataset: Dataset,
    tokenizer: Tokenizer,
    resolution: int,
    train: Tensor,
    val: Tensor,
    started: float,
) -> None:
    """Write tokens to the cache.

    Args:
        dataset, tokenizer, resolution: as in `cached_tokens`.
        train, val: (N, G, H, W) int16.
        started: time.monotonic() when tokenizing began.

    Raises:
        UserError: the cache folder cannot be written.
    """
    path = _cache_path(dataset, tokenizer, resolution)
    metadata = {
        "seconds": f"{time.monotonic() - started:.3f}",
        "cores": str(torch.get_num_threads()),
    }
    with cache_errors(path.parent, CONTENT):
        make_folder(path.parent)
        write_atomic(path, save({"train": train, "val": val}, metadata))


def tokenizing_time(
    dataset: Dataset, tokenizer: Tokenizer, resolution: int
) -> tuple[float, int] | None:
    """Time that tokenizing a cached dataset took, with the reading of its files.

    Returns:
        Seconds and the number of threads; None where the cache has no record of them.
    """
    try:
        path = _cache_path(dataset, tokenizer, resolution)
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError):
        return None
    if "seconds" not in metadata:
        return None
    return float(metadata["seconds"]), int(metadata["cores"])


def _cache_path(dataset: Dataset, tokenizer: Tokenizer, resolution: int) -> Path:
    name = f"{dataset.manifest}-{tokenizer.identity}-{resolution}.safetensors"
    return cache_folder() / "tokens" / name


def _read(path: Path, dataset: Dataset) -> tuple[Tensor, Tensor] | None:
    """Train and val tokens of a cache file, mapped; None where it is absent or damaged."""
    try:
        with safe_open(str(path), framework="pt") as file:
            train = file.get_tensor("train")
            val = file.get_tensor("val")
    except (SafetensorError, OSError):
        return None
    if len(train) != len(dataset.train) or len(val) != len(dataset.val):
        return None
    return train, val
