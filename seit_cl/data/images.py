"""Stored images to tensors: decode, convert to RGB, resize the shorter side, crop the centre."""

from __future__ import annotations

import io
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from seit_cl.core.errors import UserError
from seit_cl.core.threads import blocks, thread_pool
from seit_cl.data.base import Dataset
from seit_cl.data.jpeg import decode_like_pil, jpeg_size
from seit_cl.data.stored import ImageFile, StoredImage

# Exceptions that PIL raises for files that are not images or are damaged.
BAD_IMAGE = (OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError)
CHUNK = 256  # images of a chunk, and between two reports of progress
AHEAD = 2  # chunks that are decoded before they are asked for
# Pixels of a JPEG file up to which decoding with torchvision and a copy to PIL take less time than
# decoding with PIL.
SMALL = 256 * 256
SMALLEST = 32  # pixels, as the next two
LARGEST = 256
STEP = 8
RESOLUTION_SAMPLE = 64  # images that `native_resolution` reads

_limit_lock = threading.Lock()
_limit_users = 0
_limit_before: int | None = None


@contextmanager
def no_pixel_limit() -> Iterator[None]:
    """Lift PIL's global limit on pixels while the block runs: a user's own images may be huge.

    Blocks may overlap in several threads; the last one to end restores the limit.
    """
    global _limit_users, _limit_before
    with _limit_lock:
        if _limit_users == 0:
            _limit_before = Image.MAX_IMAGE_PIXELS
            Image.MAX_IMAGE_PIXELS = None
        _limit_users += 1
    try:
        yield
    finally:
        with _limit_lock:
            _limit_users -= 1
            if _limit_users == 0:
                Image.MAX_IMAGE_PIXELS = _limit_before


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert a PIL image to RGB: 16-bit grey is scaled, and alpha dropped as in torchvision."""
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I"):
        grey = np.asarray(image).astype(np.int64).clip(0, 65535) >> 8
        image = Image.fromarray(grey.astype(np.uint8))
    elif "transparency" in image.info:
        image = image.convert("RGBA")
    return image.convert("RGB")


def decode_image(data: bytes, resolution: int) -> np.ndarray:
    """Decode an image file; an image of S x S pixels is not resized.

    Args:
        data: bytes of a file that PIL reads.
        resolution: side S in pixels; the shorter side is resized to it (bicubic) and the centre
            cropped.

    Returns:
        (S, S, 3) uint8.

    Raises:
        one of BAD_IMAGE: the file cannot be decoded.
    """
    pixels = _decode_small(data, resolution)
    if pixels is not None:
        return fit_pixels(pixels, resolution)
    with Image.open(io.BytesIO(data)) as image:
        # A large JPEG is decoded at 1/2, 1/4 or 1/8, never below twice the resolution.
        image.draft(None, (2 * resolution, 2 * resolution))
        return np.asarray(square(to_rgb(image), resolution))


def fit_pixels(pixels: np.ndarray, resolution: int) -> np.ndarray:
    """Resize the shorter side of an image (H, W, 3) uint8 to S and crop the centre: (S, S, 3)."""
    if pixels.shape == (resolution, resolution, 3):
        return pixels
    return np.asarray(square(Image.fromarray(pixels), resolution))


def _decode_small(data: bytes, resolution: int) -> np.ndarray | None:
    """Pixels (H, W, 3) of a JPEG file that is decoded faster without PIL; None for other files."""
    size = jpeg_size(data)
    if size is None or min(size) >= 4 * resolution:  # PIL decodes it at a reduced size
        return None
    if size == (resolution, resolution) or size[0] * size[1] <= SMALL:
        return decode_like_pil(data)
    return None


def square(image: Image.Image, resolution: int) -> Image.Image:
    """Resize an RGB image's shorter side to S pixels and crop the centre."""
    width, height = image.size
    if width == height == resolution:
        return image
    side = min(width, height)
    left = (width - side) / 2
    top = (height - side) / 2
    box = (left, top, left + side, top + side)
    return image.resize((resolution, resolution), Image.Resampling.BICUBIC, box=box)


def load_image(image: StoredImage | Path, resolution: int) -> np.ndarray:
    """Decode an image as `decode_image` does; one that is an array of pixels is resized only.

    Raises:
        UserError: the image cannot be decoded.
    """
    if isinstance(image, Path):
        image = ImageFile(image, image.parent)
    try:
        pixels = image.pixels()
        if pixels is not None:
            return fit_pixels(pixels, resolution)
        return decode_image(image.read(), resolution)
    except BAD_IMAGE as error:
        is_unknown = isinstance(error, UnidentifiedImageError)  # its message names a buffer
        reason = "of no format that PIL knows" if is_unknown else error
        raise UserError(
            f"{image}: not a readable image ({reason}); replace it or use --skip-bad-images"
        ) from error


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
) -> Iterator[Tensor]:
    """Decode images in threads, up to AHEAD chunks before they are asked for.

    Args:
        stored: N stored images, or paths of image files.
        resolution: side S in pixels.
        chunk: number of images in a chunk.
        threads: number of reading threads; None: one per core that this process may use.
        pinned: page-locked memory, from which a GPU copies without blocking.

    Returns:
        Chunks (n, 3, S, S) uint8 on the CPU, in that order.

    Raises:
        UserError: an image cannot be decoded, or the resolution is below 1.
    """
    waiting: deque[tuple[Tensor, list[Future[int]]]] = deque()
    with no_pixel_limit(), thread_pool(threads) as pool:
        for start in range(0, len(stored), chunk):
            part = stored[start : start + chunk]
            images = _empty(len(part), resolution, pinned)
            waiting.append((images, _start(pool, part, images, threads)))
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
) -> list[Future[int]]:
    """Start tasks that decode into images (N, 3, S, S); each returns its number of images."""
    resolution = images.shape[-1]

    def load(block: Sequence[StoredImage | Path], rows: np.ndarray) -> int:
        for image, row in zip(block, rows, strict=True):
            row[:] = load_image(image, resolution).transpose(2, 0, 1)
        return len(block)

    tasks = []
    start = 0
    for block in blocks(stored, threads):
        rows = images[start : start + len(block)].numpy()
        tasks.append(pool.submit(load, block, rows))
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


def native_resolution(dataset: Dataset) -> int:
    """The `common_resolution` of a dataset's train images."""
    return common_resolution(dataset.train.images)


def common_resolution(images: Sequence[StoredImage]) -> int:
    """The most common shorter side of images, in steps of 8 from 32 to 256 pixels.

    Args:
        images: the headers of up to 64 of them, evenly spaced, are read.

    Returns:
        A multiple of 8; the smaller side where two are equally common.

    Raises:
        UserError: one of these images cannot be read.
    """
    count = min(RESOLUTION_SAMPLE, len(images))
    sides: Counter[int] = Counter()
    with no_pixel_limit():
        for i in range(count):
            sides[_shorter_side(images[i * len(images) // count])] += 1
    side = min(sides, key=lambda s: (-sides[s], s))
    rounded = (side + STEP // 2) // STEP * STEP
    return min(LARGEST, max(SMALLEST, rounded))


def _shorter_side(image: StoredImage) -> int:
    """The shorter side of an image in pixels, from its header."""
    try:
        pixels = image.pixels()
        if pixels is not None:
            return min(pixels.shape[:2])
        with image.open() as file, Image.open(file) as opened:
            return min(opened.size)
    except BAD_IMAGE as error:
        raise UserError(f"{image}: not a readable image ({error}); replace it") from error


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
