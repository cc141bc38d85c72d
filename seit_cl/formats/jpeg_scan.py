"""A baseline JPEG without its header: the strongest that JPEG can be in small records.

All images of one quality and side have the same header when they share the standard's own quantisation and Huffman tables
(ITU-T T.81, Annex K), some 600 bytes. It follows from the options, so nothing of it is stored: a record is the
entropy-coded scan alone. At 64 px that leaves 168 of 427 bytes at quality 5 and 1,326 of 1,636 at quality 75.
"""

from __future__ import annotations

import torch
from torch import Tensor

from seit_cl.core.errors import UserError
from seit_cl.formats.jpeg import JpegFormat

# Quantisation tables for quality 50, luma and chroma, in zigzag order (Annex K.1).
QUANTISATION = (
    "100b0c0e0c0a100e0d0e1211101318281a181616183123251d283a333d3c3933383740485c4e404457453738506d51575f626768673e4d71797064785c656763",
    "1112121815182f1a1a2f634238426363636363636363636363636363636363636363636363636363636363636363636363636363636363636363636363636363",
)
# Huffman tables (Annex K.3): class and destination, codes of each length, values; luma DC, AC, chroma DC, AC.
HUFFMAN = (
    "0000010501010101010100000000000000000102030405060708090a0b",
    "100002010303020403050504040000017d01020300041105122131410613516107227114328191a1082342b1c11552d1f02433627282090a161718191a252627"
    "28292a3435363738393a434445464748494a535455565758595a636465666768696a737475767778797a838485868788898a92939495969798999aa2a3a4a5a6"
    "a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae1e2e3e4e5e6e7e8e9eaf1f2f3f4f5f6f7f8f9fa",
    "0100030101010101010101010000000000000102030405060708090a0b",
    "1100020102040403040705040400010277000102031104052131061241510761711322328108144291a1b1c109233352f0156272d10a162434e125f11718191a"
    "262728292a35363738393a434445464748494a535455565758595a636465666768696a737475767778797a82838485868788898a92939495969798999aa2a3a4"
    "a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae2e3e4e5e6e7e8e9eaf2f3f4f5f6f7f8f9fa",
)
LUMA = {420: b"\x22", 422: b"\x21", 444: b"\x11"}  # luma samples across and down for one of chroma
START, END = b"\xff\xd8", b"\xff\xd9"


class JpegScanFormat(JpegFormat):
    """JPEG scans with the standard's tables; images come back at the learner's side S.

    Args:
        options: quality, stored side and chroma.
        context: gives the learner's resolution S in pixels.

    Raises:
        UserError: quality outside 1..100, size outside 0..S, or another chroma subsampling than JPEG's three.
    """

    name = "jpeg_scan"

    def use(self, quality: int) -> None:
        """Store at a quality from here on."""
        super().use(quality)
        self.header = header(quality, self.size, self.options.chroma)
        self._header, self._end = (
            torch.frombuffer(bytearray(part), dtype=torch.uint8) for part in (self.header, END)
        )

    def _encode_one(self, image: Tensor) -> bytes:
        """The record of one image (H, W, 3) uint8: the scan of its JPEG file.

        Raises:
            UserError: Pillow's JPEG library writes other headers than the standard's.
        """
        file = self._write(image, optimize=False)
        # JFIF's marker, which tells a decoder nothing that it must know, is left out.
        begin = len(START) + (
            2 + int.from_bytes(file[4:6], "big") if file[2:4] == b"\xff\xe0" else 0
        )
        rest = self.header[len(START) :]
        if not file.startswith(rest, begin) or not file.endswith(END):
            raise UserError(
                "jpeg_scan: this Pillow's JPEG library does not write the standard's tables; use jpeg"
            )
        return file[begin + len(rest) : -len(END)]

    def _decode_all(self, records: list[Tensor]) -> list[Tensor]:
        return super()._decode_all(
            [torch.cat([self._header, record, self._end]) for record in records]
        )


def header(quality: int, side: int, chroma: int) -> bytes:
    """All that comes before the scan in a baseline JPEG file of a quality (1..100), side (pixels) and chroma (a key of LUMA),
    without JFIF."""
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality  # libjpeg's law
    parts = [START]
    for number, table in enumerate(QUANTISATION):
        steps = bytes(min(255, max(1, (step * scale + 50) // 100)) for step in bytes.fromhex(table))
        parts.append(_segment(0xDB, bytes([number]) + steps))
    sides = side.to_bytes(2, "big") * 2
    parts.append(
        _segment(
            0xC0,
            b"\x08"
            + sides
            + b"\x03"
            + b"\x01"
            + LUMA[chroma]
            + b"\x00"
            + b"\x02\x11\x01"
            + b"\x03\x11\x01",
        )
    )
    parts += [_segment(0xC4, bytes.fromhex(table)) for table in HUFFMAN]
    parts.append(
        _segment(0xDA, b"\x03" + b"\x01\x00" + b"\x02\x11" + b"\x03\x11" + b"\x00\x3f\x00")
    )
    return b"".join(parts)


def _segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2, "big") + content


FORMAT = JpegScanFormat
