"""The token cache: a dataset is tokenized once, into a safetensors file for all later runs.

The file has the tokens of both splits, digests of the contents of the images that they were made
of, and a digest of itself. A file that is damaged, or of other images, is made again. So is one of
an earlier version, which left photographs on their side, where the images have such.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor

from seit_cl.core.cache import cache_errors, cache_folder
from seit_cl.core.digests import Damaged
from seit_cl.core.files import make_folder, sweep
from seit_cl.core.notes import note
from seit_cl.core.tensor_files import TensorFile, read_tensor_file, write_tensor_file
from seit_cl.core.threads import map_in_threads
from seit_cl.data.base import Dataset, Split
from seit_cl.data.contents import Contents, digest_of, find_changed
from seit_cl.data.decoding import lies_on_its_side, no_pixel_limit
from seit_cl.data.stored import StoredImage
from seit_cl.tokenizers._encoding import encode_files
from seit_cl.tokenizers.base import Tokenizer

CONTENT = "the token cache"
IMAGES = ".images"  # end of the names of the digests of a split's images, (N,) int64
UPRIGHT = "upright"  # key of the metadata of files made of images that are turned upright
AGAIN = "the images are tokenized again"


class TokenizedSplit(NamedTuple):
    """Tokens of a split and digests of the images that they were made of.

    Args:
        tokens: (N, G, H, W) int16.
        digests: (N,) uint64.
    """

    tokens: Tensor
    digests: NDArray[np.uint64]


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
    cached = _read(path, dataset, tokenizer)
    if cached is not None:
        return cached
    with cache_errors(path.parent, CONTENT):
        path.parent.mkdir(parents=True, exist_ok=True)
    progress(0)
    started = time.monotonic()
    train = tokenize_split(dataset.train.images, tokenizer, resolution, progress)
    val = tokenize_split(dataset.val.images, tokenizer, resolution, progress)
    store_tokens(dataset, tokenizer, resolution, train, val, started)
    return _read(path, dataset, tokenizer) or (train.tokens, val.tokens)


def tokenize_split(
    images: Sequence[StoredImage],
    tokenizer: Tokenizer,
    resolution: int,
    progress: Callable[[int], None],
    skip_bad: bool = False,
) -> TokenizedSplit:
    """Tokenize the images of a split, and digest their contents as they are read.

    Args:
        images: N stored images.
        tokenizer, resolution, progress: as in `cached_tokens`.
        skip_bad: as in `encode_files`.

    Raises:
        UserError: as `encode_files`.
    """
    contents = Contents(images)
    tokens = encode_files(contents.images, tokenizer, resolution, progress, skip_bad=skip_bad)
    return TokenizedSplit(tokens, contents.digests)


def store_tokens(
    dataset: Dataset,
    tokenizer: Tokenizer,
    resolution: int,
    train: TokenizedSplit,
    val: TokenizedSplit,
    started: float,
) -> None:
    """Write tokens to the cache.

    Args:
        dataset, tokenizer, resolution: as in `cached_tokens`.
        train, val: the tokens of both splits.
        started: time.monotonic() when tokenizing began.

    Raises:
        UserError: the cache folder cannot be written.
    """
    path = _cache_path(dataset, tokenizer, resolution)
    tensors = {}
    for name, split in (("train", train), ("val", val)):
        tensors[name] = split.tokens
        tensors[name + IMAGES] = torch.from_numpy(split.digests.view(np.int64))
    metadata = {
        "images": digest_of(train.digests, val.digests),
        "seconds": f"{time.monotonic() - started:.3f}",
        "cores": str(torch.get_num_threads()),
        UPRIGHT: "yes",
    }
    with cache_errors(path.parent, CONTENT):
        make_folder(path.parent)
        write_tensor_file(path, tensors, metadata)


@dataclass(frozen=True)
class CacheFile:
    """A file of the token cache, to be given to another machine.

    Args:
        name: of the file.
        tensors: by name.
        metadata: of its header.
    """

    name: str
    tensors: dict[str, NDArray[np.generic]]
    metadata: dict[str, str]

    def install(self) -> None:
        """Write the file into this machine's cache, unless it is there.

        Raises:
            UserError: the cache folder cannot be written.
        """
        path = cache_folder() / "tokens" / self.name
        if path.exists():
            return
        tensors = {name: torch.from_numpy(array.copy()) for name, array in self.tensors.items()}
        with cache_errors(path.parent, CONTENT):
            make_folder(path.parent)
            write_tensor_file(path, tensors, self.metadata)


def cache_file(dataset: Dataset, tokenizer: Tokenizer, resolution: int) -> CacheFile | None:
    """Read the cache's file of a dataset; None where there is none that is whole.

    Args:
        dataset, tokenizer, resolution: as in `cached_tokens`.
    """
    path = _cache_path(dataset, tokenizer, resolution)
    try:
        file = read_tensor_file(path, AGAIN)
    except (Damaged, SafetensorError, OSError):
        return None
    arrays = {name: tensor.numpy() for name, tensor in file.tensors.items()}
    return CacheFile(path.name, arrays, file.metadata)


def contents_of(dataset: Dataset, tokenizer: Tokenizer, resolution: int) -> str:
    """Digest of the contents of the images that cached tokens were made of; "" if there is none."""
    return _metadata(dataset, tokenizer, resolution).get("images", "")


def tokenizing_time(
    dataset: Dataset, tokenizer: Tokenizer, resolution: int
) -> tuple[float, int] | None:
    """Time that tokenizing a cached dataset took, with the reading of its files.

    Returns:
        Seconds and the number of threads; None where the cache has no record of them.
    """
    metadata = _metadata(dataset, tokenizer, resolution)
    try:
        return float(metadata["seconds"]), int(metadata["cores"])
    except (KeyError, ValueError):
        return None


def _metadata(dataset: Dataset, tokenizer: Tokenizer, resolution: int) -> dict[str, str]:
    """Metadata of the cache's file, which `cached_tokens` has compared with its digest."""
    try:
        path = _cache_path(dataset, tokenizer, resolution)
        with safe_open(str(path), framework="pt") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError):
        return {}


def _splits(dataset: Dataset) -> tuple[tuple[str, Split], tuple[str, Split]]:
    """The names and splits of a dataset."""
    return ("train", dataset.train), ("val", dataset.val)


def _digests(tensors: Mapping[str, Tensor], split: str) -> np.ndarray:
    """Digests (N,) uint64 of the images of a split."""
    digests: np.ndarray = tensors[split + IMAGES].numpy().view(np.uint64)
    return digests


def _cache_path(dataset: Dataset, tokenizer: Tokenizer, resolution: int) -> Path:
    name = f"{dataset.manifest}-{tokenizer.identity}-{resolution}.safetensors"
    return cache_folder() / "tokens" / name


def _read(path: Path, dataset: Dataset, tokenizer: Tokenizer) -> tuple[Tensor, Tensor] | None:
    """Train and val tokens of a cache file, mapped; None where it is absent, damaged or outdated.

    The last two are noted.
    """
    if not path.exists():
        return None
    try:
        file = read_tensor_file(path, AGAIN)
        problem = _problem(path, file, dataset, tokenizer)
    except (Damaged, SafetensorError, OSError):
        problem = f"{path}: damaged"
    if problem:
        note(f"{problem}; {AGAIN}")
        return None
    if not file.has_digest:
        note(f"{path}: of an earlier version of seit_cl, without a digest; it is given one")
    if not file.has_digest or UPRIGHT not in file.metadata:
        _write_again(path, file)
    return file.tensors["train"], file.tensors["val"]


def _write_again(path: Path, file: TensorFile) -> None:
    """Write a file of an earlier version as it would be written now, where the cache allows it."""
    with suppress(OSError):
        write_tensor_file(path, file.tensors, {**file.metadata, UPRIGHT: "yes"})


def _lying(dataset: Dataset) -> str:
    """The first image of a dataset that is turned upright; "" where there is none."""
    images = [*dataset.train.images, *dataset.val.images]
    with no_pixel_limit():
        lying = list(map_in_threads(lies_on_its_side, images))
    return next((str(image) for image, on_side in zip(images, lying, strict=True) if on_side), "")


def _problem(path: Path, file: TensorFile, dataset: Dataset, tokenizer: Tokenizer) -> str:
    """The reason why a file's tokens are not those of a dataset; "" if they are."""
    groups, codes, _ = tokenizer.codebook.shape
    for name, split in _splits(dataset):
        tokens = file.tensors.get(name)
        if tokens is None or not _is_of(tokens, len(split), groups, codes):
            return f"{path}: damaged"
        if name + IMAGES in file.tensors:  # not in files of earlier versions
            changed = find_changed(split.images, _digests(file.tensors, name))
            if changed:
                return f"{changed}: another image than the one whose tokens are in the cache"
    if UPRIGHT not in file.metadata and (lying := _lying(dataset)):
        return f"{lying}: not upright in the token cache, which an earlier version of seit_cl made"
    return ""


def _is_of(tokens: Tensor, images: int, groups: int, codes: int) -> bool:
    """Return True for tokens (N, G, H, W) int16 of N images and G codes a position, below K."""
    if tokens.dtype != torch.int16 or tokens.ndim != 4 or tokens.shape[:2] != (images, groups):
        return False
    if tokens.numel() == 0:
        return True
    smallest, largest = tokens.aminmax()
    return int(smallest) >= 0 and int(largest) < codes
