"""Stored images to tensors, decoded in threads, and the resolution that suits a dataset."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from seit_cl.core.blocks import images_at_once, slices
from seit_cl.core.errors import UserError
from seit_cl.core.threads import blocks, thread_pool
from seit_cl.data.base import Dataset
from seit_cl.data.decoding import BadImage, load_image, no_pixel_limit, shorter_side
from seit_cl.data.stored import StoredImage

CHUNK = 256  # images of a chunk at most, and between two reports of progress
AHEAD = 2  # chunks that are decoded before they are asked for
SMALLEST = 32  # pixels, as the next two
LARGEST = 256
STEP = 8
RESOLUTION_SAMPLE = 64  # images that `native_resolution` reads


def load_images(
    stored: Sequence[StoredImage | Path],
    resolution: int,
    threads: int | None = None,
    progress: Callable[[int], None] | None = None,
    out: Tensor | None = None,
) -> Tensor:
    """Decode images in threads; the number of threads does not change the result.

    Args:
        stored: N stored images, or paths of image files.
        resolution: side S in pixels.
        threads: number of reading threads; None: one per core that this process may use.
        progress: called with the number of images decoded so far.
        out: (N, 3, S, S) uint8 on the CPU, which gets the images; None: a new tensor.

    Returns:
        (N, 3, S, S) uint8 on the CPU, in that order.

    Raises:
        UserError: an image cannot be decoded, or the resolution is below 1.
    """
    images = _empty(len(stored), resolution) if out is None else out
    with no_pixel_limit(), thread_pool(threads) as pool:
        tasks = _start(pool, stored, images, threads)
        done = 0
        for task in tasks:
            done += task.result()
            if progress is not None and (done == len(stored) or done % CHUNK == 0):
                progress(done)
    return images


def read_chunks(
    stored: Sequence[StoredImage | Path],
    resolution: int,
    chunk: int = CHUNK,
    threads: int | None = None,
    pinned: bool = False,
    bad: list[int] | None = None,
) -> Iterator[Tensor]:
    """Decode images in threads, up to AHEAD chunks before they are asked for.

    Args:
        stored: N stored images, or paths of image files.
        resolution: side S in pixels.
        chunk: number of images in a chunk; it has fewer of more than 256 px (core/blocks.py).
        threads: number of reading threads; None: one per core that this process may use.
        pinned: page-locked memory, from which a GPU copies without blocking.
        bad: gets the positions of images that cannot be decoded, in any order, whose pixels mean
            nothing then; None: they are errors.

    Returns:
        Chunks (n, 3, S, S) uint8 on the CPU, in that order.

    Raises:
        UserError: an image cannot be decoded, or the resolution is below 1.
    """
    waiting: deque[tuple[Tensor, list[Future[int]]]] = deque()
    size = images_at_once(max(1, resolution), chunk)
    with no_pixel_limit(), thread_pool(threads) as pool:
        for part in slices(len(stored), size):
            images = _empty(part.stop - part.start, resolution, pinned)
            tasks = _start(pool, stored[part], images, threads, bad, part.start)
            waiting.append((images, tasks))
            if len(waiting) > AHEAD:
                yield _finished(*waiting.popleft())
        while waiting:
            yield _finished(*waiting.popleft())


def _empty(count: int, resolution: int, pinned: bool = False) -> Tensor:
    """Memory for images (N, 3, S, S) uint8."""
    if resolution < 1:
        raise UserError(f"resolution {resolution}: must be at least 1 pixel")
    shape = (count, 3, resolution, resolution)
    return torch.empty(shape, dtype=torch.uint8, pin_memory=pinned)


def _start(
    pool: ThreadPoolExecutor,
    stored: Sequence[StoredImage | Path],
    images: Tensor,
    threads: int | None,
    bad: list[int] | None = None,
    first: int = 0,
) -> list[Future[int]]:
    """Start tasks that decode into images (N, 3, S, S); each returns its number of images.

    Args:
        pool, stored, images, threads, bad: as in `read_chunks`.
        first: position of the first image, for `bad`.
    """
    resolution = images.shape[-1]

    def load(block: Sequence[StoredImage | Path], rows: np.ndarray, position: int) -> int:
        for offset, (image, row) in enumerate(zip(block, rows, strict=True)):
            try:
                row[:] = load_image(image, resolution).transpose(2, 0, 1)
            except BadImage:
                if bad is None:
                    raise
                row[:] = 0
                bad.append(position + offset)
        return len(block)

    tasks = []
    start = 0
    for block in blocks(stored, threads):
        rows = images[start : start + len(block)].numpy()
        tasks.append(pool.submit(load, block, rows, first + start))
        start += len(block)
    return tasks


def _finished(images: Tensor, tasks: list[Future[int]]) -> Tensor:
    """Wait until the images are decoded.

    Raises:
        UserError: the first image that cannot be decoded.
    """
    for task in tasks:
        task.result()
    return images


def native_resolution(dataset: Dataset, skip_bad: bool = False) -> int:
    """The `common_resolution` of a dataset's train images."""
    return common_resolution(dataset.train.images, skip_bad)


def common_resolution(images: Sequence[StoredImage], skip_bad: bool = False) -> int:
    """The most common shorter side of images, in steps of 8 from 32 to 256 pixels.

    Args:
        images: the headers of up to 64 of them, evenly spaced, are read.
        skip_bad: leave out those that cannot be read.

    Returns:
        A multiple of 8; the smaller side where two are equally common.

    Raises:
        UserError: one of these images cannot be read, or none.
    """
    count = min(RESOLUTION_SAMPLE, len(images))
    sides: Counter[int] = Counter()
    with no_pixel_limit():
        for i in range(count):
            try:
                sides[shorter_side(images[i * len(images) // count])] += 1
            except BadImage:
                if not skip_bad or (i == count - 1 and not sides):
                    raise
    side = min(sides, key=lambda s: (-sides[s], s))
    rounded = (side + STEP // 2) // STEP * STEP
    return min(LARGEST, max(SMALLEST, rounded))


def default_resolution(common: int, stride: int) -> int:
    """The side at which images are used where none is asked for, by all commands.

    Args:
        common: the images' `common_resolution`.
        stride: pixels to a token of the tokenizer.

    Returns:
        The largest multiple of the stride up to `common`, but at least SMALLEST.
    """
    return max(common // stride, -(-SMALLEST // stride)) * stride


def resolution_note(side: int) -> str:
    """The line that a command prints about a resolution that nobody asked for."""
    return (
        f"{side} px: the most common shorter side of the images, from {SMALLEST} to {LARGEST} px; "
        "--resolution sets another"
    )
