"""AVIF without its container: the coded frame alone.

An AVIF file of one size opens with some 275 bytes of boxes that follow from the side (ISO/IEC
23008-12 and the AVIF specification) and 13 bytes of AV1 headers that all images share. The boxes
are not stored, and the sequence header once for the whole memory. At 64 px the container is more
than half of a file.
"""

from __future__ import annotations

import struct
from functools import lru_cache

import torch
from torch import Tensor

from seit_cl.core.errors import UserError
from seit_cl.formats._avif import LossyAvifFormat

# Types of the open bitstream units of a still image (AV1 specification, section 6.2.2), each with
# the flag that its size follows.
DELIMITER = b"\x12\x00"
SEQUENCE = 0x0A
FRAME = 0x32
LARGEST_SEQUENCE = 32  # bytes; those of a still image take about ten


class AvifScanFormat(LossyAvifFormat):
    """Frames of AVIF files with 4:2:0 chroma, decoded to the learner's side S.

    Raises:
        UserError: quality outside 0..100, size outside 0..S, or another encoder than expected.
    """

    name = "avif_scan"

    def set_quality(self, quality: int) -> None:
        """Encode at a quality from now on, and find the sequence header of its images."""
        super().set_quality(quality)
        black = torch.zeros(self.size, self.size, 3, dtype=torch.uint8)
        self.sequence = split_frame(super()._encode_one(black))[0]

    @property
    def side_info(self) -> bytes:
        """A fitted quality as one byte, if any, and the sequence header of all records."""
        return self._quality_byte + self.sequence

    @side_info.setter
    def side_info(self, saved: bytes) -> None:
        """Set what a memory file has.

        Raises:
            ValueError: no such quality, or no sequence header.
        """
        split = len(self._quality_byte)
        if not 1 < len(saved) - split <= LARGEST_SEQUENCE:
            raise ValueError(f"{self.spec}: {saved!r} has no sequence header")
        self._set_quality_byte(saved[:split])
        self.sequence = saved[split:]

    def _encode_one(self, image: Tensor) -> bytes:
        """Record of one image (H, W, 3) uint8.

        Raises:
            UserError: libavif wrote another sequence header than for other images.
        """
        sequence, frame = split_frame(super()._encode_one(image))
        if sequence != self.sequence:
            raise UserError(
                "avif_scan: this Pillow's AVIF library writes other headers than the one that "
                "began the memory; use avif"
            )
        return frame

    def _decode_all(self, records: list[Tensor]) -> list[Tensor]:
        files = []
        for record in records:
            file = join_frame(self.sequence, record.numpy().tobytes(), self.size)
            files.append(torch.frombuffer(bytearray(file), dtype=torch.uint8))
        return super()._decode_all(files)


def split_frame(file: bytes) -> tuple[bytes, bytes]:
    """Split the AV1 image of an AVIF file.

    Returns:
        The sequence header and the frame, without type and size.

    Raises:
        UserError: the image has other parts.
    """
    start = file.rindex(b"mdat") + 4 + len(DELIMITER)
    if file[start - len(DELIMITER) : start] == DELIMITER and file[start] == SEQUENCE:
        size, begin = _read_size(file, start + 1)
        end = begin + size
        frame_bytes, frame_begin = _read_size(file, end + 1)
        if file[end] == FRAME and frame_begin + frame_bytes == len(file):
            return file[begin:end], file[frame_begin:]
    raise UserError("avif_scan: this Pillow's AVIF library writes other parts; use avif")


def join_frame(sequence: bytes, frame: bytes, side: int) -> bytes:
    """Write the AVIF file of a frame.

    Args:
        sequence: the sequence header, without type and size.
        frame: the frame, without type and size.
        side: of the image in pixels.
    """
    image = b"".join(
        [
            DELIMITER,
            bytes([SEQUENCE]),
            _write_size(len(sequence)),
            sequence,
            bytes([FRAME]),
            _write_size(len(frame)),
            frame,
        ]
    )
    empty = len(_boxes(sequence, side, 0, 0))
    return _boxes(sequence, side, empty + 8, len(image)) + _box(b"mdat", image)


@lru_cache(maxsize=16)
def _properties(sequence: bytes, side: int) -> bytes:
    """Box of the image's properties: side, depth, codec and colours.

    The codec's has the profile and the level of the sequence header (AV1 in ISOBMFF, section 2.3),
    8 bits and chroma halved in both directions. The colours are those that Pillow writes: primaries
    of BT.709, sRGB's transfer, the matrix of BT.601, full range.
    """
    level = (sequence[0] & 7) << 2 | sequence[1] >> 6
    properties = [
        _full_box(b"ispe", struct.pack(">II", side, side)),
        _full_box(b"pixi", bytes([3, 8, 8, 8])),
        _box(b"av1C", bytes([0x81, level, 0x0C, 0])),
        _box(b"colr", b"nclx" + struct.pack(">HHHB", 1, 13, 6, 0x80)),
    ]
    associations = struct.pack(">IHB", 1, 1, 4) + bytes([1, 2, 0x83, 4])
    return _box(b"iprp", _box(b"ipco", b"".join(properties)) + _full_box(b"ipma", associations))


def _boxes(sequence: bytes, side: int, offset: int, length: int) -> bytes:
    """Boxes before the image of an AVIF file with one item, at an offset and of a length."""
    item = struct.pack(">HH", 1, 0) + b"av01" + b"Color\0"
    parts = [
        _full_box(b"hdlr", bytes(4) + b"pict" + bytes(13)),
        _full_box(b"pitm", struct.pack(">H", 1)),
        _full_box(b"iloc", struct.pack(">HHHHHII", 0x4400, 1, 1, 0, 1, offset, length)),
        _full_box(b"iinf", struct.pack(">H", 1) + _full_box(b"infe", item, version=2)),
        _properties(sequence, side),
    ]
    brands = b"avif" + bytes(4) + b"avifmif1miafMA1B"
    return _box(b"ftyp", brands) + _full_box(b"meta", b"".join(parts))


def _box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + name + content


def _full_box(name: bytes, content: bytes, version: int = 0) -> bytes:
    """Box with a version and no flags."""
    return _box(name, struct.pack(">I", version << 24) + content)


def _read_size(data: bytes, start: int) -> tuple[int, int]:
    """Read a size in LEB128, and return it with the position after it."""
    size = 0
    shift = 0
    while True:
        byte = data[start]
        size |= (byte & 0x7F) << shift
        start += 1
        shift += 7
        if byte < 0x80:
            return size, start


def _write_size(size: int) -> bytes:
    """Write a size in LEB128."""
    parts = []
    while size >= 0x80:
        parts.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([*parts, size])


FORMAT = AvifScanFormat
