"""Baseline JPEG at one quality and side: the usual compressed replay memory (MRDC, Wang et al., ICLR 2022)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torchvision.io import ImageReadMode, decode_jpeg

from seit_cl.formats._image_file import ImageFileFormat, write_image


@dataclass(frozen=True)
class JpegOptions:
    """Options of the JPEG format.

    Args:
        quality: libjpeg's quality, 1..100.
        size: side in pixels at which images are stored, 1..S; 0 is the learner's resolution S.
    """

    quality: int = 75
    size: int = 0


class JpegFormat(ImageFileFormat):
    """JPEG files with 4:2:0 chroma, optimised Huffman tables and no metadata; decoded by torchvision (libjpeg-turbo)."""

    name = "jpeg"
    qualities = (1, 100)
    Options = JpegOptions

    def _encode_one(self, image: Tensor) -> bytes:
        return write_image(image, "JPEG", quality=self.options.quality, optimize=True, subsampling="4:2:0")

    def _decode_all(self, records: list[Tensor]) -> list[Tensor]:
        return list(decode_jpeg(records, mode=ImageReadMode.RGB))


FORMAT = JpegFormat
