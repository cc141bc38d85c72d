"""Small JPEG files to pixels with torchvision's decoder, wherever it gives exactly PIL's pixels.

PIL takes about as long to open a file of 64 x 64 pixels as to decode it, and holds Python's
interpreter lock meanwhile, so that threads wait for each other.
"""

from __future__ import annotations

import io
import struct
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
import torchvision  # noqa: F401, brings the operator image::decode_jpeg
from PIL import Image

from seit_cl.data.orientation import HEAD, UPRIGHT, orientation_of

# ITU-T T.81, table B.1. Segments that may precede the frame header: tables, restart interval,
# application data and comments.
TABLES = frozenset([0xC4, 0xDB, 0xDD, 0xFE, *range(0xE0, 0xF0)])
EXIF = 0xE1  # application data 1, which may be EXIF data
FRAMES = frozenset([0xC0, 0xC1, 0xC2])  # sequential and progressive, with Huffman codes
START = b"\xff\xd8"
RGB = 3  # torchvision's number of the mode
SEGMENT = struct.Struct(">BBH")  # 0xFF, marker, length
FRAME = struct.Struct(">BHHB")  # bits per sample, height, width, channels

# How the files are encoded that compare the two decoders, as options of PIL's encoder.
TRIALS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("L", {}),
    ("RGB", {"subsampling": "4:4:4"}),
    ("RGB", {"subsampling": "4:2:2"}),
    ("RGB", {"subsampling": "4:2:0"}),
    ("RGB", {"subsampling": "4:2:0", "progressive": True}),
    ("RGB", {"keep_rgb": True}),
)


class JpegHead(NamedTuple):
    """Facts in a JPEG file before its pixels.

    Args:
        width: in pixels, as stored.
        height: the same.
        orientation: as in seit_cl.data.orientation.
    """

    width: int
    height: int
    orientation: int


def read_head(data: bytes) -> JpegHead | None:
    """Read a JPEG file up to its frame header.

    Returns:
        None for another file, and for a JPEG that is unusual: damaged before its frame header, or
        not of one or three channels of 8 bits.
    """
    if not data.startswith(START):
        return None
    position = len(START)
    orientation = UPRIGHT
    try:
        while True:
            mark, marker, length = SEGMENT.unpack_from(data, position)
            if mark != 0xFF or marker not in TABLES | FRAMES:
                return None
            if marker in FRAMES:
                bits, height, width, channels = FRAME.unpack_from(data, position + SEGMENT.size)
                usual = bits == 8 and channels in (1, 3)
                return JpegHead(width, height, orientation) if usual else None
            start = position + SEGMENT.size
            position += 2 + length
            if marker == EXIF and data.startswith(HEAD, start):
                orientation = orientation_of(data[start:position])
    except struct.error:  # the file ends here
        return None


def decode_like_pil(data: bytes) -> np.ndarray | None:
    """Decode a JPEG file to exactly the pixels that PIL gives.

    Args:
        data: a file that `read_head` reads.

    Returns:
        (H, W, 3) uint8, not contiguous in memory; None where PIL is to decide about the file: it is
        damaged, or torchvision's libjpeg gives other pixels than PIL's.
    """
    return _decode(data) if decoders_agree() else None


def _decode(data: bytes) -> np.ndarray | None:
    """Decode without the wrapper `torchvision.io.decode_jpeg`, which warns on every call.

    The warning and its other lines of Python hold the interpreter lock for a while.
    """
    source = torch.frombuffer(bytearray(data), dtype=torch.uint8)
    try:
        pixels: torch.Tensor = torch.ops.image.decode_jpeg(source, RGB, False)
    except (RuntimeError, AttributeError):  # a damaged file, or a torchvision without a decoder
        return None
    return pixels.permute(1, 2, 0).numpy()


@cache
def decoders_agree() -> bool:
    """Return True if torchvision and PIL decode noise to the same pixels; tried once a process.

    Both bring a libjpeg. Those of their wheels agree; another one may round differently. Decoders
    are deprecated in torchvision 0.29: without one, PIL decodes everything.
    """
    noise = np.random.default_rng(0).integers(0, 256, (37, 45, 3), dtype=np.uint8)
    for mode, options in TRIALS:
        file = io.BytesIO()
        Image.fromarray(noise).convert(mode).save(file, "JPEG", quality=90, **options)
        pixels = _decode(file.getvalue())
        with Image.open(file) as image:
            expected = np.asarray(image.convert("RGB"))
        if pixels is None or not np.array_equal(pixels, expected):
            return False
    return True
