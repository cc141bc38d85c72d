"""Lossy WebP without its header: the coded frame alone.

A WebP file of one size opens with 20 bytes of RIFF container and 7 bytes of start code and sides,
which follow from the options or from the length of the record (RFC 9649, section 2; RFC 6386,
section 9.1). None of it is stored.
"""

from __future__ import annotations

import struct

import torch
from torch import Tensor

from seit_cl.core.errors import UserError
from seit_cl.formats._webp import LossyWebpFormat

CONTAINER = struct.Struct("<4sI4s4sI")  # RIFF, bytes that follow, WEBP, chunk's name, its bytes
TAG_BYTES = 3  # of the frame: its type, version and the size of its first part
START_CODE = b"\x9d\x01\x2a"


class WebpScanFormat(LossyWebpFormat):
    """Frames of WebP files, decoded to the learner's side S."""

    name = "webp_scan"
    source = "RFC 9649, WebP, 2024; RFC 6386, VP8, 2011"

    def _encode_one(self, image: Tensor) -> bytes:
        """Record of one image (H, W, 3) uint8.

        Raises:
            UserError: libwebp wrote other parts than one lossy frame.
        """
        file = super()._encode_one(image)
        chunk_bytes = CONTAINER.unpack_from(file)[-1]
        frame = file[CONTAINER.size : CONTAINER.size + chunk_bytes]
        record = frame[:TAG_BYTES] + frame[TAG_BYTES + len(self._start()) :]
        if self._file(record) != file:
            raise UserError(
                "webp_scan: this Pillow's WebP library writes more than one frame; use webp"
            )
        return record

    def _decode_all(self, records: list[Tensor]) -> list[Tensor]:
        files = []
        for record in records:
            file = self._file(record.numpy().tobytes())
            files.append(torch.frombuffer(bytearray(file), dtype=torch.uint8))
        return super()._decode_all(files)

    def _start(self) -> bytes:
        """Bytes of the frame that follow its tag: start code, width and height."""
        return START_CODE + struct.pack("<HH", self.size, self.size)

    def _file(self, record: bytes) -> bytes:
        """Return the file of a record."""
        frame = record[:TAG_BYTES] + self._start() + record[TAG_BYTES:]
        padded = frame + b"\0" * (len(frame) % 2)
        riff_bytes = CONTAINER.size - 8 + len(padded)
        return CONTAINER.pack(b"RIFF", riff_bytes, b"WEBP", b"VP8 ", len(frame)) + padded


FORMAT = WebpScanFormat
