"""Images that are arrays of pixels in memory, without image files."""

from __future__ import annotations

import zlib
from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np

from seit_cl.core.errors import UserError
from seit_cl.data.stored import StoredImage

CHANNELS = (1, 3)  # grey and RGB


@dataclass(frozen=True, eq=False)
class PixelArray:
    """Images of one size.

    Args:
        pixels: (N, H, W, 1 or 3) uint8.
        where: the data in messages, e.g. the path of a file.
    """

    pixels: np.ndarray
    where: str


class NamedSource(Protocol):
    """Data with a name in messages."""

    @property
    def where(self) -> str:
        """The name, e.g. the path of a file."""


@dataclass(frozen=True, slots=True, eq=False)
class PixelImage(StoredImage):
    """An image that has pixels and no file; subclasses give the pixels.

    Args:
        source: the images.
        row: position of the image.
        label: name that starts with the split and the class; the row is added.
    """

    source: NamedSource
    row: int
    label: str
    has_file: ClassVar[bool] = False

    def __str__(self) -> str:
        return f"{self.source.where}, {self.name}"

    @property
    def name(self) -> str:
        """Split, class and row."""
        return f"{self.label}/{self.row:07d}"

    def read(self) -> bytes:
        """Refuse: there is no image file.

        Raises:
            UserError: always.
        """
        raise no_files(self.source.where)

    def fingerprint(self) -> tuple[str, str]:
        """CRC-32 of the pixels, with their shape."""
        return pixel_fingerprint(self.pixels()), ""

    @abstractmethod
    def pixels(self) -> np.ndarray:
        """Pixels (H, W, 3) uint8."""


@dataclass(frozen=True, slots=True, eq=False)
class ArrayImage(PixelImage):
    """One image of a PixelArray."""

    source: PixelArray

    def pixels(self) -> np.ndarray:
        """Pixels (H, W, 3) uint8."""
        image = self.source.pixels[self.row]
        return np.ascontiguousarray(np.broadcast_to(image, (*image.shape[:2], 3)))


def pixel_fingerprint(pixels: np.ndarray) -> str:
    """Shape and CRC-32 of an image (H, W, 3) uint8."""
    height, width, _ = pixels.shape
    return f"{height}x{width}:{zlib.crc32(pixels.data):08x}"


def no_files(where: str) -> UserError:
    """The error for data that has pixels and no image files."""
    return UserError(
        f"{where}: has pixels and no image files, which jpeg:original stores; use --format jpeg, "
        "raw or tokens"
    )


def channels_last(pixels: np.ndarray, where: str) -> np.ndarray:
    """Images as (N, H, W, 1 or 3) uint8, a view of the array.

    Args:
        pixels: (N, H, W), (N, H, W, C) or (N, C, H, W) with 1 or 3 channels.
        where: the data in messages.

    Raises:
        UserError: another shape or another type.
    """
    if pixels.dtype != np.uint8:
        raise UserError(
            f"{where}: images are of type {pixels.dtype}; store them as uint8, 0 to 255"
        )
    if pixels.ndim == 3:
        pixels = pixels[..., None]
    elif pixels.ndim == 4 and pixels.shape[3] not in CHANNELS and pixels.shape[1] in CHANNELS:
        pixels = pixels.transpose(0, 2, 3, 1)
    if pixels.ndim != 4 or pixels.shape[3] not in CHANNELS or 0 in pixels.shape[1:]:
        raise UserError(
            f"{where}: images of shape {tuple(pixels.shape)}; give (images, height, width, 1 or 3 "
            "channels)"
        )
    return pixels
