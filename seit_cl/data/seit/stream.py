"""The token data of a SeiT release as it comes out of its gzip: block by block, checked against the index."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from seit_cl.core.errors import UserError
from seit_cl.data.seit.codes import TwoEscapes, decode

BLOCK = 1 << 18  # bytes taken from the gzip at a time
UNREADABLE = (OSError, EOFError, zlib.error, ValueError)
AGAIN = "download it again"


def reason(error: BaseException) -> str:
    """What an error says, or its name."""
    return (
        error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    ) or type(error).__name__


def read_tokens(
    path: Path,
    offsets: np.ndarray,
    grid: tuple[int, int, int],
    advance: Callable[[int], None] = lambda images: None,
) -> Iterator[Tensor]:
    """Token grids of all images of a PREFIX-SPLIT-token.data.bin.gz, as from `grids_of`; memory does not grow with them.

    Raises:
        UserError: truncated or damaged data, and what `grids_of` refuses.
    """
    return grids_of(_ahead(blocks_of(path)), path, offsets, grid, advance)


def _ahead(blocks: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """The same blocks, each taken by a thread while the one before is worked on: zlib lets other threads run."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, blocks, None)
        while (block := coming.result()) is not None:
            coming = pool.submit(next, blocks, None)
            yield block


def grids_of(
    blocks: Iterable[np.ndarray],
    path: Path,
    offsets: np.ndarray,
    grid: tuple[int, int, int],
    advance: Callable[[int], None] = lambda images: None,
) -> Iterator[Tensor]:
    """Token grids, in blocks (n, G, H, W) int16, of bytes that come in blocks.

    Args:
        blocks: uint8, cut anywhere.
        path: the file that they are of, for messages.
        offsets: (N + 1,) int64, where each image's bytes start, and the last one's end.
        grid: (G, H, W) of every image.
        advance: called with the number of images of each block.

    Raises:
        UserError: an image of another number of tokens or bytes than the index says, or a code above those that the format has.
    """
    size, images, at = int(np.prod(grid)), 0, 0
    left, escaped = np.empty(0, np.int16), False
    for data in blocks:
        try:
            block = decode(data, escaped)
        except TwoEscapes as error:
            image = int(np.searchsorted(offsets, at + error.at, "right")) - 1
            raise UserError(
                f"{path}: image {image:,} has a code above 509, which the format has not; {AGAIN}"
            ) from None
        ends = at + block.last[size - 1 - len(left) :: size] + 1
        _check_ends(path, ends, offsets, images)
        codes = np.concatenate([left, block.codes])
        whole = len(codes) // size * size
        left, escaped, at = codes[whole:], block.escaped, at + len(data)
        images += whole // size
        if whole:
            yield torch.from_numpy(codes[:whole].reshape(-1, *grid))
            advance(whole // size)
    if images == len(offsets) - 1 and (len(left) or escaped):
        raise UserError(
            f"{path}: goes on after the {images:,} images that its index lists; {AGAIN}"
        )
    if images < len(offsets) - 1:
        raise UserError(
            f"{path}: ends within image {images:,} of {len(offsets) - 1:,} that its index lists; {AGAIN}"
        )


def _check_ends(path: Path, ends: np.ndarray, offsets: np.ndarray, first: int) -> None:
    """Raises UserError where images, from number `first` on, end elsewhere than the index says."""
    said = offsets[first + 1 : first + 1 + len(ends)]
    if len(said) < len(ends):
        raise UserError(
            f"{path}: has more images than the {len(offsets) - 1:,} that its index lists; {AGAIN}"
        )
    if not np.array_equal(said, ends):
        image = int((said != ends).argmax())
        raise UserError(
            f"{path}: image {first + image:,} ends at byte {ends[image]:,} and not at {said[image]:,}, as its index "
            f"says; {AGAIN}, or say --grid H W if images are not square"
        )


def blocks_of(path: Path) -> Iterator[np.ndarray]:
    """The bytes of a gzip, BLOCK at a time."""
    try:
        with gzip.open(path) as file:
            while data := file.read(BLOCK):
                yield np.frombuffer(data, np.uint8)
    except UNREADABLE as error:
        raise UserError(f"{path}: truncated or damaged ({reason(error)}); {AGAIN}") from error


def tokens_of_first(path: Path, length: int) -> int:
    """The number of tokens of the first image, which is so many bytes long.

    Raises:
        UserError: the data cannot be read, or ends before.
    """
    found = b""
    for data in blocks_of(path):
        found += data[: length - len(found)].tobytes()
        if len(found) == length:
            return len(found) - found.count(255)
    raise UserError(f"{path}: ends before its first image does; {AGAIN}")
