"""Baseline JPEG: the usual compressed replay memory (MRDC, Wang et al., ICLR 2022)."""

from __future__ import annotations

from torch import Tensor

from seit_cl.formats._jpeg import BaselineJpegFormat


class JpegFormat(BaselineJpegFormat):
    """JPEG files with optimised Huffman tables and no metadata, decoded by libjpeg-turbo.

    Raises:
        UserError: quality outside 1..100, size outside 0..S, or a chroma that is not 420, 422 or
            444.
    """

    name = "jpeg"

    def _encode_one(self, image: Tensor) -> bytes:
        return self._write(image, optimize=True)


FORMAT = JpegFormat
