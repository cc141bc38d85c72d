"""Image files to tensors: decode, RGB, resize the shorter side, centre crop."""

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

# What PIL raises for files that are no images or broken ones.
BAD_IMAGE = (OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError)
CHUNK = 1024
SMALLEST, LARGEST, STEP = 32, 256, 8

_limit_lock = threading.Lock()
_limit_users = 0
_limit_before: int | None = None


@contextmanager
def no_pixel_limit() -> Iterator[None]:
    """Lifts PIL's limit on pixels, which is global: a user's own data may be huge. Restored by the last one out."""
    global _limit_users, _limit_before
    with _limit_lock:
        if _limit_users == 0:
            _limit_before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        _limit_users += 1
    try:
        yield
    finally:
        with _limit_lock:
            _limit_users -= 1
            if _limit_users == 0:
                Image.MAX_IMAGE_PIXELS = _limit_before


def default_threads() -> int:
    """Threads for reading files: the cores this process may use, at most 16."""
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    return min(16, cores)


def to_rgb(image: Image.Image) -> Image.Image:
    """Any PIL image as RGB: 16 bit grey is scaled, alpha is dropped as torchvision's loader does."""
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I"):
        image = Image.fromarray(
            (np.asarray(image).astype(np.int64).clip(0, 65535) >> 8).astype(np.uint8)
        )
    elif "transparency" in image.info:
        image = image.convert("RGBA")
    return image.convert("RGB")


def decode_image(file: Path | io.BytesIO, resolution: int) -> np.ndarray:
    """One file as (S, S, 3) uint8: shorter side to S (bicubic) and centre crop, untouched where it is S x S already.

    Args:
        file: where an image file that PIL reads is, or its bytes.
        resolution: S, pixels.

    Raises:
        one of BAD_IMAGE: the file cannot be decoded.
    """
    with Image.open(file) as image:
        # A large JPEG is decoded at 1/2, 1/4 or 1/8, never below twice the side that is asked for.
        image.draft(None, (2 * resolution, 2 * resolution))
        rgb = to_rgb(image)
        if rgb.size != (resolution, resolution):
            (width, height), side = rgb.size, min(rgb.size)
            left, top = (width - side) / 2, (height - side) / 2
            box = (left, top, left + side, top + side)
            rgb = rgb.resize((resolution, resolution), Image.Resampling.BICUBIC, box=box)
        return np.asarray(rgb)


def load_image(path: Path, resolution: int) -> np.ndarray:
    """`decode_image` of a path.

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
) -> Tensor:
    """Decodes files in threads; the same files give the same tensor for any number of threads.

    Args:
        paths: N image files.
        resolution: S, pixels.
        threads: readers; the process's cores, at most 16, by default.
        progress: called with the number of images done so far.

    Returns:
        (N, 3, S, S) uint8 on the CPU, in the order of the paths.

    Raises:
        UserError: a file cannot be decoded, or the resolution is below 1.
    """
    if resolution < 1:
        raise UserError(f"resolution {resolution}: must be at least 1 pixel")
    images = torch.empty((len(paths), 3, resolution, resolution), dtype=torch.uint8)
    rows = images.numpy()

    def put(index: int) -> None:
        rows[index] = load_image(paths[index], resolution).transpose(2, 0, 1)

    with no_pixel_limit(), ThreadPoolExecutor(threads or default_threads()) as pool:
        for start in range(0, len(paths), CHUNK):
            stop = min(start + CHUNK, len(paths))
            for _ in pool.map(put, range(start, stop)):
                pass
            if progress is not None:
                progress(stop)
    return images


def native_resolution(dataset: Dataset) -> int:
    """The side that suits a dataset: its most common shorter side, in pixels.

    Args:
        dataset: up to 64 of its train files, evenly spaced, are looked at (headers only).

    Returns:
        A multiple of 8 between 32 and 256; the smaller side where two are equally common.

    Raises:
        UserError: one of these files cannot be read.
    """
    paths = dataset.train.paths
    count = min(64, len(paths))
    sides: Counter[int] = Counter()
    with no_pixel_limit():
        for path in (paths[i * len(paths) // count] for i in range(count)):
            try:
                with Image.open(path) as image:
                    sides[min(image.size)] += 1
            except BAD_IMAGE as error:
                raise UserError(f"{path}: not a readable image ({error}); replace it") from error
    side = min(sides, key=lambda s: (-sides[s], s))
    return min(LARGEST, max(SMALLEST, (side + STEP // 2) // STEP * STEP))
