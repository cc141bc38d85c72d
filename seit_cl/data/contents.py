"""Digests of images' contents, made while the images are read for another purpose."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

import numpy as np
import xxhash
from numpy.typing import NDArray

from seit_cl.core.digests import digest
from seit_cl.data.stored import StoredImage

SAMPLE = 64  # images of a split that are compared where not all of them are read
SAMPLE_BYTES = 16_000_000  # of them


class _Digested(StoredImage):
    """An image that notes the digest of what is read of it.

    Args:
        image: the image.
        digests: (N,) uint64, of all images of a split.
        row: its place there.
    """

    __slots__ = ("_digests", "_image", "_row")

    def __init__(self, image: StoredImage, digests: NDArray[np.uint64], row: int) -> None:
        self._image = image
        self._digests = digests
        self._row = row

    def __str__(self) -> str:
        return str(self._image)

    @property
    def has_file(self) -> bool:  # type: ignore[override]
        return self._image.has_file

    @property
    def name(self) -> str:
        return self._image.name

    def fingerprint(self) -> tuple[str, str]:
        return self._image.fingerprint()

    def read(self) -> bytes:
        data = self._image.read()
        self._digests[self._row] = xxhash.xxh3_64_intdigest(data)
        return data

    def pixels(self) -> np.ndarray | None:
        pixels = self._image.pixels()
        if pixels is not None:
            self._digests[self._row] = _of_pixels(pixels)
        return pixels


def _of_pixels(pixels: np.ndarray) -> int:
    return xxhash.xxh3_64_intdigest(np.ascontiguousarray(pixels).data)


class Contents:
    """The contents of a split's images, as one digest each.

    Args:
        stored: the images.

    Attributes:
        images: the same, for whoever reads them.
        digests: (N,) uint64, complete when every image has been read; 0 for one that was not.
    """

    def __init__(self, stored: Sequence[StoredImage]) -> None:
        self.digests: NDArray[np.uint64] = np.zeros(len(stored), np.uint64)
        self.images: list[StoredImage] = []
        for row, image in enumerate(stored):
            self.images.append(_Digested(image, self.digests, row))


def digest_of(train: NDArray[np.uint64], val: NDArray[np.uint64]) -> str:
    """16 hexadecimal digits of the contents of both splits."""
    return digest(train.astype("<u8").tobytes(), b"val", val.astype("<u8").tobytes())


def find_changed(stored: Sequence[StoredImage], digests: NDArray[np.uint64]) -> str:
    """Compare some images from all over a split with digests of their contents.

    Args:
        stored: N images, of which some are read.
        digests: (N,) uint64.

    Returns:
        The first that has other contents, for a message; "" where there is none.
    """
    for row, found in _some(stored):
        if found != digests[row]:
            return str(stored[row])
    return ""


def digests_of_some(stored: Sequence[StoredImage]) -> NDArray[np.uint64]:
    """Digests (n,) uint64 of some images from all over a split."""
    return np.array([found for _, found in _some(stored)], np.uint64)


def _some(stored: Sequence[StoredImage]) -> Iterator[tuple[int, int]]:
    """Read some images, always the same, and give their rows and digests.

    They are up to SAMPLE, and not many more than SAMPLE_BYTES.
    """
    read = 0
    for row in random.Random(0).sample(range(len(stored)), min(SAMPLE, len(stored))):
        contents = Contents([stored[row]])
        (image,) = contents.images
        pixels = image.pixels()
        read += len(image.read()) if pixels is None else pixels.nbytes
        yield row, int(contents.digests[0])
        if read > SAMPLE_BYTES:
            return
