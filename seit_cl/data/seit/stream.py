"""Token data of a SeiT release, decompressed block by block and checked against the index."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from seit_cl.core.errors import UserError, reading
from seit_cl.data.seit.codes import ESCAPE, LARGEST, TwoEscapes, decode

BLOCK = 1 << 18  # bytes taken from the gzip at a time
AGAIN = "download it again"


def read_tokens(
    path: Path,
    offsets: np.ndarray,
    grid: tuple[int, int, int],
    advance: Callable[[int], None] = lambda images: None,
) -> Iterator[Tensor]:
    """Read the token grids of a PREFIX-SPLIT-token.data.bin.gz in constant memory.

    Args:
        path: the file.
        offsets, grid, advance: as in `grids_of`.

    Raises:
        UserError: truncated or damaged data, or an error of `grids_of`.
    """
    return grids_of(_read_ahead(blocks_of(path)), path, offsets, grid, advance)


def _read_ahead(blocks: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """The same blocks, each read by a thread while the one before is processed.

    zlib lets other threads run.
    """
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
    """Decode blocks of bytes to blocks of token grids, (n, G, H, W) int16.

    Args:
        blocks: uint8, cut anywhere.
        path: the file that they come from, for messages.
        offsets: (N + 1,) int64, the start of each image's bytes and the end of the last.
        grid: (G, H, W) of every image.
        advance: called with the number of images of each block.

    Raises:
        UserError: an image whose number of tokens or bytes differs from the index, or a code that
            is too large for the format.
    """
    size = int(np.prod(grid))
    images = 0
    position = 0  # bytes decoded so far
    left = np.empty(0, np.int16)  # codes of an image that continues in the next block
    escaped = False
    for data in blocks:
        try:
            block = decode(data, escaped)
        except TwoEscapes as error:
            image = int(np.searchsorted(offsets, position + error.position, "right")) - 1
            raise UserError(
                f"{path}: image {image:,} has a code above {LARGEST}, the largest of the format; "
                f"{AGAIN}"
            ) from None
        ends = position + block.last[size - 1 - len(left) :: size] + 1
        _check_ends(path, ends, offsets, images)
        codes = np.concatenate([left, block.codes])
        complete = len(codes) // size
        left = codes[complete * size :]
        escaped = block.escaped
        position += len(data)
        images += complete
        if complete:
            yield torch.from_numpy(codes[: complete * size].reshape(-1, *grid))
            advance(complete)
    total = len(offsets) - 1
    if images == total and (len(left) or escaped):
        raise UserError(
            f"{path}: goes on after the {images:,} images that its index lists; {AGAIN}"
        )
    if images < total:
        raise UserError(
            f"{path}: ends within image {images:,} of {total:,} that its index lists; {AGAIN}"
        )


def _check_ends(path: Path, ends: np.ndarray, offsets: np.ndarray, first: int) -> None:
    """Check that images, from number `first` on, end where the index says.

    Raises:
        UserError: more images than in the index, or an image that ends elsewhere.
    """
    listed = offsets[first + 1 : first + 1 + len(ends)]
    if len(listed) < len(ends):
        raise UserError(
            f"{path}: has more images than the {len(offsets) - 1:,} that its index lists; {AGAIN}"
        )
    if not np.array_equal(listed, ends):
        image = int((listed != ends).argmax())
        raise UserError(
            f"{path}: image {first + image:,} ends at byte {ends[image]:,} and not at "
            f"{listed[image]:,}, as its index says; {AGAIN}, or give --grid H W if images are not "
            "square"
        )


def blocks_of(path: Path) -> Iterator[np.ndarray]:
    """The bytes of a gzip, BLOCK at a time.

    Raises:
        UserError: truncated or damaged data.
    """
    with reading(path, "truncated or damaged", AGAIN), gzip.open(path) as file:
        while data := file.read(BLOCK):
            yield np.frombuffer(data, np.uint8)


def tokens_of_first(path: Path, length: int) -> int:
    """The number of tokens of the first image.

    Args:
        path: the token data.
        length: bytes of the first image.

    Raises:
        UserError: the data cannot be read, or end within the first image.
    """
    image = bytearray()
    for data in blocks_of(path):
        image += data[: length - len(image)].tobytes()
        if len(image) == length:
            return length - image.count(ESCAPE)
    raise UserError(f"{path}: ends within its first image; {AGAIN}")
