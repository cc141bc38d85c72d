"""Baseline JPEG without its header: the smallest records that JPEG allows.

Images of one quality and side that use the standard's own quantisation and Huffman tables (ITU-T
T.81, Annex K) share a header of some 600 bytes. It follows from the options, so none of it is
stored: a record is the entropy-coded scan alone. At 64 px that leaves 168 of 427 bytes at quality 5
and 1,326 of 1,636 at quality 75.
"""

from __future__ import annotations

import torch
from torch import Tensor

from seit_cl.core.errors import UserError
from seit_cl.formats._jpeg import BaselineJpegFormat

# Quantisation tables of quality 50, in zigzag order (ITU-T T.81, Annex K.1).
QUANTISATION = (
    # luma
    "100b0c0e0c0a100e0d0e1211101318281a181616183123251d283a333d3c3933"
    "383740485c4e404457453738506d51575f626768673e4d71797064785c656763",
    # chroma
    "1112121815182f1a1a2f63423842636363636363636363636363636363636363"
    "6363636363636363636363636363636363636363636363636363636363636363",
)
# Huffman tables (Annex K.3): class and destination, number of codes of each length, values.
HUFFMAN = (
    # luma DC
    "0000010501010101010100000000000000000102030405060708090a0b",
    # luma AC
    "100002010303020403050504040000017d"
    "01020300041105122131410613516107227114328191a1082342b1c11552d1f02433627282090a16"
    "1718191a25262728292a3435363738393a434445464748494a535455565758595a63646566676869"
    "6a737475767778797a838485868788898a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6"
    "b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae1e2e3e4e5e6e7e8e9eaf1f2f3f4f5f6f7f8"
    "f9fa",
    # chroma DC
    "0100030101010101010101010000000000000102030405060708090a0b",
    # chroma AC
    "1100020102040403040705040400010277"
    "000102031104052131061241510761711322328108144291a1b1c109233352f0156272d10a162434"
    "e125f11718191a262728292a35363738393a434445464748494a535455565758595a636465666768"
    "696a737475767778797a82838485868788898a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4"
    "b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae2e3e4e5e6e7e8e9eaf2f3f4f5f6f7f8"
    "f9fa",
)
# Sampling factors of luma: samples across and down, in four bits each, per chroma sample.
LUMA = {420: b"\x22", 422: b"\x21", 444: b"\x11"}
CHROMA_FACTORS = b"\x11"
START = b"\xff\xd8"
END = b"\xff\xd9"
JFIF = b"\xff\xe0"  # marker of a segment that decoders do not need


class JpegScanFormat(BaselineJpegFormat):
    """JPEG scans with the standard's tables, decoded to the learner's side S.

    Args:
        options: quality, stored side and chroma.
        context: the learner's resolution S in pixels.

    Raises:
        UserError: quality outside 1..100, size outside 0..S, or a chroma that is not 420, 422 or
            444.
    """

    name = "jpeg_scan"

    def set_quality(self, quality: int) -> None:
        """Encode at a quality from now on."""
        super().set_quality(quality)
        self.header = header(quality, self.size, self.options.chroma)

    def _encode_one(self, image: Tensor) -> bytes:
        """Record of one image (H, W, 3) uint8: the scan of its JPEG file.

        Raises:
            UserError: Pillow's JPEG library does not write the standard's tables.
        """
        file = self._write(image, optimize=False)
        tables_start = len(START)
        if file[tables_start : tables_start + 2] == JFIF:
            segment_length = int.from_bytes(file[tables_start + 2 : tables_start + 4], "big")
            tables_start += len(JFIF) + segment_length
        tables = self.header[len(START) :]
        if not file.startswith(tables, tables_start) or not file.endswith(END):
            raise UserError(
                "jpeg_scan: this Pillow's JPEG library does not write the standard's tables; "
                "use jpeg"
            )
        return file[tables_start + len(tables) : -len(END)]

    def _decode_all(self, records: list[Tensor]) -> list[Tensor]:
        start = torch.frombuffer(bytearray(self.header), dtype=torch.uint8)
        end = torch.frombuffer(bytearray(END), dtype=torch.uint8)
        return super()._decode_all([torch.cat([start, record, end]) for record in records])


def header(quality: int, side: int, chroma: int) -> bytes:
    """Bytes before the scan in a baseline JPEG file, without JFIF's segment.

    Args:
        quality: 1..100.
        side: in pixels.
        chroma: a key of LUMA.
    """
    # Identifier, sampling factors and quantisation table of luma and the two chroma components.
    components = (
        b"\x01" + LUMA[chroma] + b"\x00",
        b"\x02" + CHROMA_FACTORS + b"\x01",
        b"\x03" + CHROMA_FACTORS + b"\x01",
    )
    frame = b"\x08" + side.to_bytes(2, "big") * 2 + b"\x03" + b"".join(components)
    # Identifier and Huffman tables of each component, then the range of coefficients.
    scan = b"\x03" + b"\x01\x00" + b"\x02\x11" + b"\x03\x11" + b"\x00\x3f\x00"
    parts = [START]
    for number, table in enumerate(QUANTISATION):
        parts.append(_segment(0xDB, bytes([number]) + _scaled(table, quality)))
    parts.append(_segment(0xC0, frame))
    for table in HUFFMAN:
        parts.append(_segment(0xC4, bytes.fromhex(table)))
    parts.append(_segment(0xDA, scan))
    return b"".join(parts)


def _scaled(table: str, quality: int) -> bytes:
    """Quantisation table of a quality, scaled from that of quality 50 as libjpeg does."""
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    steps = [(step * scale + 50) // 100 for step in bytes.fromhex(table)]
    return bytes(min(255, max(1, step)) for step in steps)


def _segment(marker: int, content: bytes) -> bytes:
    """Segment of a JPEG file: marker, length and content."""
    return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2, "big") + content


FORMAT = JpegScanFormat
