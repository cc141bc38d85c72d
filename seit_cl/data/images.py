"""Image files to tensors: decode, convert to RGB, resize the shorter side, crop the centre."""

from __future__ import annotations

import io
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from seit_cl.core.errors import UserError
from seit_cl.data.base import Dataset

# Exceptions that PIL raises for files that are not images or are damaged.
BAD_IMAGE = (OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError)
CHUNK = 1024  # images between two reports of progress
SMALLEST = 32  # pixels, as the next two
LARGEST = 256
STEP = 8
RESOLUTION_SAMPLE = 64  # files that `native_resolution` reads

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


def default_threads() -> int:
    """Threads for reading files: the cores that this process may use, at most 16."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return min(16, cores)


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


def decode_image(file: Path | io.BytesIO, resolution: int) -> np.ndarray:
    """Decode an image file; an image of S x S pixels is not resized.

    Args:
        file: path or bytes of a file that PIL reads.
        resolution: side S in pixels; the shorter side is resized to it (bicubic) and the centre
            cropped.

    Returns:
        (S, S, 3) uint8.

    Raises:
        one of BAD_IMAGE: the file cannot be decoded.
    """
    with Image.open(file) as image:
        # A large JPEG is decoded at 1/2, 1/4 or 1/8, never below twice the resolution.
        image.draft(None, (2 * resolution, 2 * resolution))
        rgb = to_rgb(image)
        if rgb.size != (resolution, resolution):
            width, height = rgb.size
            side = min(width, height)
            left = (width - side) / 2
            top = (height - side) / 2
            box = (left, top, left + side, top + side)
            rgb = rgb.resize((resolution, resolution), Image.Resampling.BICUBIC, box=box)
        return np.asarray(rgb)


def load_image(path: Path, resolution: int) -> np.ndarray:
    """Decode an image file as `decode_image` does.

    Raises:
        UserError: the file cannot be decoded.
    """
    try:
        return decode_image(path, resolution)
    except BAD_IMAGE as error:
        raise UserError(
            f"{path}: not a readable image ({error}); replace it or use --skip-bad-images"
        ) from error


def load_images(
    paths: Sequence[Path],
    resolution: int,
    threads: int | None = None,
    progress: Callable[[int], None] | None = None,
    out: Tensor | None = None,
) -> Tensor:
    """Decode image files in threads; the number of threads does not change the result.

    Args:
        paths: N image files.
        resolution: side S in pixels.
        threads: number of reading threads; None: `default_threads`.
        progress: called with the number of images decoded so far.
        out: (N, 3, S, S) uint8 on the CPU, which gets the images; None: a new tensor.

    Returns:
        (N, 3, S, S) uint8 on the CPU, in the order of the paths.

    Raises:
        UserError: a file cannot be decoded, or the resolution is below 1.
    """
    if resolution < 1:
        raise UserError(f"resolution {resolution}: must be at least 1 pixel")
    images = out
    if images is None:
        images = torch.empty((len(paths), 3, resolution, resolution), dtype=torch.uint8)
    rows = images.numpy()

    def load(index: int) -> None:
        rows[index] = load_image(paths[index], resolution).transpose(2, 0, 1)

    with no_pixel_limit(), ThreadPoolExecutor(threads or default_threads()) as pool:
        for start in range(0, len(paths), CHUNK):
            stop = min(start + CHUNK, len(paths))
            for _ in pool.map(load, range(start, stop)):
                pass
            if progress is not None:
                progress(stop)
    return images


def native_resolution(dataset: Dataset) -> int:
    """The most common shorter side of a dataset's images, in steps of 8 from 32 to 256 pixels.

    Args:
        dataset: the headers of up to 64 of its train files, evenly spaced, are read.

    Returns:
        A multiple of 8; the smaller side where two are equally common.

    Raises:
        UserError: one of these files cannot be read.
    """
    paths = dataset.train.paths
    count = min(RESOLUTION_SAMPLE, len(paths))
    sides: Counter[int] = Counter()
    with no_pixel_limit():
        for i in range(count):
            path = paths[i * len(paths) // count]
            try:
                with Image.open(path) as image:
                    sides[min(image.size)] += 1
            except BAD_IMAGE as error:
                raise UserError(f"{path}: not a readable image ({error}); replace it") from error
    side = min(sides, key=lambda s: (-sides[s], s))
    rounded = (side + STEP // 2) // STEP * STEP
    return min(LARGEST, max(SMALLEST, rounded))
