"""Images that cannot be decoded, found once for a dataset by decoding it, and left out of it.

Where tokens are needed, tokenizing is what decodes the images. What was found is kept in the cache
under the dataset's manifest, so that later runs decode nothing.
"""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from seit_cl.core.cache import cache_folder
from seit_cl.core.files import make_folder, write_atomic
from seit_cl.core.notes import note
from seit_cl.data.base import Dataset
from seit_cl.data.decoding import BadImage, most_pixels
from seit_cl.data.folder import CHECKED_SIDE, find_bad, leave_out_rows, refuse_rows, without_missing
from seit_cl.data.stored import StoredImage
from seit_cl.experiment.token_cache import TokenizedSplit, store_tokens, tokenize_split
from seit_cl.tokenizers._encoding import readable_rows
from seit_cl.tokenizers.base import Tokenizer

ADVICE = "--skip-bad-images leaves such images out"


class BadRows(NamedTuple):
    """Rows of the images of both splits that cannot be decoded."""

    train: list[int]
    val: list[int]


@contextmanager
def advising_to_skip() -> Iterator[None]:
    """Add to an error about an image that an option leaves such images out."""
    try:
        yield
    except BadImage as error:
        raise BadImage(f"{error}; {ADVICE}") from error


def tokenize_readable(
    dataset: Dataset,
    tokenizer: Tokenizer,
    resolution: int,
    progress: Callable[[int], None] = lambda images: None,
) -> Dataset:
    """Leave out images that cannot be decoded, and tokenize the others into the token cache.

    Args:
        dataset: as listed.
        tokenizer: tokenizes the images unless it is known which ones are bad.
        resolution: image side S in pixels.
        progress: called with 0 when tokenizing starts, then with the number of images tokenized
            since the last call.

    Raises:
        UserError: a class without a readable image, or a cache folder that cannot be written.
    """
    dataset = without_missing(dataset)
    bad = _remembered(dataset, resolution)
    if bad is not None:
        return leave_out_rows(dataset, *bad)
    progress(0)
    started = time.monotonic()
    train, bad_train = _tokenized(dataset.train.images, tokenizer, resolution, progress)
    val, bad_val = _tokenized(dataset.val.images, tokenizer, resolution, progress)
    readable = leave_out_rows(dataset, bad_train, bad_val)
    store_tokens(readable, tokenizer, resolution, train, val, started)
    _remember(dataset, resolution, BadRows(bad_train, bad_val))
    return readable


def _tokenized(
    images: Sequence[StoredImage],
    tokenizer: Tokenizer,
    resolution: int,
    progress: Callable[[int], None],
) -> tuple[TokenizedSplit, list[int]]:
    """Tokens of the images that can be decoded, and the rows of the others."""
    tokens, digests = tokenize_split(images, tokenizer, resolution, progress, skip_bad=True)
    rows = readable_rows(tokens)
    bad = sorted(set(range(len(images))) - set(rows.tolist()))
    if not bad:
        return TokenizedSplit(tokens, digests), bad
    return TokenizedSplit(tokens[rows], digests[rows.numpy()]), bad


def check_once(dataset: Dataset, skip_bad_images: bool, side: int = CHECKED_SIDE) -> Dataset:
    """Check that every image can be decoded, unless an earlier check of the same images has.

    Args:
        dataset: as listed.
        skip_bad_images: leave out those that cannot, instead of stopping.
        side: image side in pixels that they are decoded for.

    Raises:
        UserError: an unreadable image, or a class without any other.
    """
    if not dataset.has_files:
        return dataset
    if skip_bad_images:
        dataset = without_missing(dataset)
    bad = _remembered(dataset, side)
    if bad is None:
        bad = BadRows(find_bad(dataset.train.images, side), find_bad(dataset.val.images, side))
        _remember(dataset, side, bad)
    if not skip_bad_images:
        refuse_rows(dataset, *bad)
    return leave_out_rows(dataset, *bad)


def _path(dataset: Dataset, side: int) -> Path:
    name = f"{dataset.manifest}-{side}-{most_pixels()}.json"
    return cache_folder() / "readable" / name


def _remembered(dataset: Dataset, side: int) -> BadRows | None:
    """Read the bad images that an earlier run found.

    Returns:
        None where there is no such file, or a damaged one, which is noted.
    """
    path = _path(dataset, side)
    if not path.exists():
        return None
    try:
        stored = json.loads(path.read_bytes())
        rows = BadRows(stored["train"], stored["val"])
        if stored["crc32"] == _checksum(rows):
            return rows
    except Exception:  # anything may be in its place
        pass
    note(f"{path}: damaged; the images are checked again")
    return None


def _remember(dataset: Dataset, side: int, bad: BadRows) -> None:
    """Keep what was found, where the cache can be written."""
    path = _path(dataset, side)
    with suppress(OSError):
        make_folder(path.parent)
        write_atomic(path, json.dumps(bad._asdict() | {"crc32": _checksum(bad)}))


def _checksum(bad: BadRows) -> int:
    return zlib.crc32(json.dumps(bad).encode())
