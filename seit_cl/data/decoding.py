"""One stored image to pixels: decode, convert to RGB, resize, crop the centre, turn upright.

Image files are anybody's. Their header is compared with the limit of pixels before memory is taken
for them, and whatever their decoders raise becomes one error that names the file.
"""

from __future__ import annotations

import io
import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from seit_cl.core.errors import UserError, one_line
from seit_cl.core.limits import MAX_PIXELS
from seit_cl.data.jpeg import decode_like_pil, read_head
from seit_cl.data.orientation import UPRIGHT, orientation_of, turn_upright
from seit_cl.data.stored import ImageFile, StoredImage

# Pixels of a JPEG file up to which decoding with torchvision and a copy to PIL take less time than
# decoding with PIL.
SMALL = 256 * 256
UNCOUNTED = 2**20  # pixels up to which an image does not count as large
# Pixels that the scans of a progressive JPEG may pass over in all: a second or two. Files of
# thousands of empty scans would take minutes.
SCAN_PIXELS = 2**31
ROWS = 512  # of an image that are converted at a time
SCAN_BYTES = 10  # of the shortest scan: its header alone
# PNG, third edition, section 5: the file's start; a chunk's length and type; its checksum.
PNG_START = b"\x89PNG\r\n\x1a\n"
CHUNK_START = struct.Struct(">I4s")
CHECKSUM = struct.Struct(">I")
RUN_A_PROGRAM = ("EPS",)  # formats that PIL hands to another program


class BadImage(UserError):
    """An image that cannot be decoded."""


class PixelLimits:
    """The pixels that one image, and all large images that are decoded at a time, may have.

    Args:
        most: pixels of one image, and of the large images that threads decode beside one another.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._decoding = 0
        self._changed = threading.Condition()

    def check(self, width: int, height: int) -> None:
        """Refuse an image above the limit.

        Raises:
            ValueError: naming its size and the limit.
        """
        if width * height > self.most:
            raise ValueError(
                f"{width:,} x {height:,} pixels are more than the limit of {self.most}, which "
                "--max-pixels sets"
            )

    @contextmanager
    def decoding(self, pixels: int) -> Iterator[None]:
        """Wait until a large image may be decoded beside those that other threads decode."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._decoding == 0 or self._decoding + pixels <= self.most
            )
            self._decoding += pixels
        try:
            yield
        finally:
            with self._changed:
                self._decoding -= pixels
                self._changed.notify_all()


_limits = PixelLimits(MAX_PIXELS)


def limit_pixels(most: int) -> None:
    """Set the pixels that an image of this process may have, as `--max-pixels` does."""
    _limits.most = most


def most_pixels() -> int:
    """The pixels that an image of this process may have."""
    return _limits.most


_pil_lock = threading.Lock()
_pil_users = 0
_pil_before: int | None = None


@contextmanager
def no_pixel_limit() -> Iterator[None]:
    """Lift PIL's own global limit on pixels while the block runs: `--max-pixels` holds instead.

    Blocks may overlap in several threads; the last one to end restores the limit.
    """
    global _pil_users, _pil_before
    with _pil_lock:
        if _pil_users == 0:
            _pil_before = Image.MAX_IMAGE_PIXELS
            Image.MAX_IMAGE_PIXELS = None
        _pil_users += 1
    try:
        yield
    finally:
        with _pil_lock:
            _pil_users -= 1
            if _pil_users == 0:
                Image.MAX_IMAGE_PIXELS = _pil_before


@contextmanager
def named_errors(image: StoredImage) -> Iterator[None]:
    """Turn whatever reading and decoding an image raises into an error that names it.

    Raises:
        BadImage: from any exception but a UserError.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # decoders raise anything: RuntimeError, OverflowError, MemoryError
        # The message of an unknown format names a buffer.
        is_unknown = isinstance(error, UnidentifiedImageError)
        reason = "of no format that PIL knows" if is_unknown else one_line(error)
        raise BadImage(f"{image}: not a readable image ({reason}); replace or remove it") from error


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert a PIL image to RGB: 16-bit grey is scaled, and alpha dropped as in torchvision."""
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I"):
        image = _grey(image)
    if "transparency" in image.info:
        image = image.copy()  # it may be a user's
        del image.info["transparency"]  # PIL would convert it too
    return image.convert("RGB")


def _grey(image: Image.Image) -> Image.Image:
    """The upper 8 of 16 bits of grey, in mode L."""
    width, height = image.size
    upper = np.empty((height, width), np.uint8)
    for top in range(0, height, ROWS):  # PIL copies what it gives to numpy several times
        block = np.asarray(image.crop((0, top, width, min(top + ROWS, height))))
        if block.itemsize > 2:
            block = block.clip(0, 65535)
        upper[top : top + ROWS] = block >> 8
    return Image.fromarray(upper)


def _large_square(image: Image.Image, resolution: int) -> Image.Image:
    """The same pixels as of `square(to_rgb(image), resolution)` without a copy of all in RGB."""
    if image.mode == "RGBA":
        bands = [square(image.getchannel(band), resolution) for band in range(3)]
        return Image.merge("RGB", bands)
    if image.mode.startswith("I"):
        return square(_grey(image), resolution).convert("RGB")
    return square(to_rgb(image), resolution)


def decode_image(data: bytes, resolution: int) -> np.ndarray:
    """Decode an image file and turn it upright, as its EXIF data say.

    It is resized and cropped as it is stored, and turned then: the crop is that of the centre. An
    image of S x S pixels is not resized.

    Args:
        data: bytes of a file that PIL reads.
        resolution: side S in pixels; the shorter side is resized to it (bicubic) and the centre
            cropped.

    Returns:
        (S, S, 3) uint8.

    Raises:
        Exception: any, where the file cannot be decoded.
    """
    small = _decode_small(data, resolution)
    if small is not None:
        pixels, orientation = small
        return turn_upright(fit_pixels(pixels, resolution), orientation)
    with Image.open(io.BytesIO(data)) as image:
        _limits.check(*image.size)
        if image.format == "PNG":
            _check_png(data)
        if image.format in RUN_A_PROGRAM:
            raise ValueError(f"the format {image.format} is not read")
        pixels_held = image.width * image.height
        image.info.pop("transparency", None)  # for to_rgb would copy the image to drop it
        is_progressive = "progressive" in image.info
        if is_progressive:
            _check_scans(data, pixels_held)
        # A large JPEG is decoded at 1/2, 1/4 or 1/8, never below twice the resolution.
        image.draft(None, (2 * resolution, 2 * resolution))
        if not is_progressive:  # of a progressive one, all coefficients are held
            pixels_held = image.width * image.height
        if pixels_held > UNCOUNTED:
            with _limits.decoding(pixels_held):
                pixels = np.asarray(_large_square(image, resolution))
        else:
            pixels = np.asarray(square(to_rgb(image), resolution))
        return turn_upright(pixels, stored_orientation(image))


def stored_orientation(image: Image.Image) -> int:
    """The orientation of an image that PIL has opened; PIL turns TIFF files upright itself."""
    exif = image.info.get("exif")
    return orientation_of(exif) if isinstance(exif, bytes) else UPRIGHT


def _check_png(data: bytes) -> None:
    """Compare the checksums of a PNG's chunks, which PIL does not for those with the pixels.

    Raises:
        ValueError, struct.error: they differ, or the file is cut.
    """
    position = len(PNG_START)
    kind = b""
    while kind != b"IEND":
        length, kind = CHUNK_START.unpack_from(data, position)
        end = position + CHUNK_START.size + length
        (stored,) = CHECKSUM.unpack_from(data, end)
        if zlib.crc32(memoryview(data)[position + 4 : end]) != stored:
            raise ValueError(f"the checksum of its chunk {kind.decode('latin1')} differs")
        position = end + CHECKSUM.size


def _check_scans(data: bytes, pixels: int) -> None:
    """Refuse a progressive JPEG of far more scans than any encoder writes.

    Raises:
        ValueError: giving their number.
    """
    if pixels * (len(data) // SCAN_BYTES) <= SCAN_PIXELS:
        return
    scans = data.count(b"\xff\xda")
    if scans * pixels > SCAN_PIXELS:
        raise ValueError(f"{scans:,} scans of {pixels:,} pixels take too long to decode")


def fit_pixels(pixels: np.ndarray, resolution: int) -> np.ndarray:
    """Resize the shorter side of an image (H, W, 3) uint8 to S and crop the centre: (S, S, 3)."""
    if pixels.shape == (resolution, resolution, 3):
        return pixels
    return np.asarray(square(Image.fromarray(pixels), resolution))


def _decode_small(data: bytes, resolution: int) -> tuple[np.ndarray, int] | None:
    """Decode a JPEG file that is decoded faster without PIL.

    Returns:
        Pixels (H, W, 3) as stored, and the orientation; None for other files.
    """
    head = read_head(data)
    if head is None:
        return None
    size = head.width, head.height
    if min(size) >= 4 * resolution:  # PIL decodes it at a reduced size
        return None
    if size == (resolution, resolution) or size[0] * size[1] <= SMALL:
        _limits.check(*size)
        pixels = decode_like_pil(data)
        return None if pixels is None else (pixels, head.orientation)
    return None


def square(image: Image.Image, resolution: int) -> Image.Image:
    """Resize an image's shorter side to S pixels and crop the centre: RGB, or one band."""
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
        BadImage: the image cannot be decoded.
        UserError: the archive that holds it cannot be read.
    """
    if isinstance(image, Path):
        image = ImageFile(image, image.parent)
    with named_errors(image):
        pixels = image.pixels()
        if pixels is not None:
            return fit_pixels(pixels, resolution)
        return decode_image(image.read(), resolution)


def lies_on_its_side(image: StoredImage) -> bool:
    """Return True for an image file that is turned to stand upright, from its header.

    A file that cannot be read is left to its decoder.
    """
    if not image.has_file:
        return False
    try:
        with named_errors(image), image.open() as file, Image.open(file) as opened:
            return stored_orientation(opened) != UPRIGHT
    except BadImage:
        return False


def shorter_side(image: StoredImage) -> int:
    """The shorter side of an image in pixels, from its header.

    Raises:
        BadImage: the header cannot be read.
        UserError: the archive that holds it cannot be read.
    """
    with named_errors(image):
        pixels = image.pixels()
        if pixels is not None:
            return min(pixels.shape[:2])
        with image.open() as file, Image.open(file) as opened:
            _limits.check(*opened.size)
            return min(opened.size)
