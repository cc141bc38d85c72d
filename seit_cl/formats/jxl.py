"""JPEG XL: dense, with a header short enough for small images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from seit_cl.formats._image_file import ImageFileFormat
from seit_cl.formats._jxl import distance_of, jxl_codec
from seit_cl.formats._quality import DEFAULT_QUALITY, Quality
from seit_cl.formats.base import FormatContext


@dataclass(frozen=True)
class JxlOptions:
    """Options of the JPEG XL format.

    Args:
        quality: libjxl's quality, 0..100 (100 is lossless), or auto: chosen for the budget.
        size: side in pixels at which images are stored, 1..S; 0 is the learner's resolution S.
    """

    quality: Quality = DEFAULT_QUALITY
    size: int = 0


class JxlFormat(ImageFileFormat):
    """JPEG XL codestreams without container, at libjxl's effort 9, on one thread.

    They need the package imagecodecs, which is an extra.

    Raises:
        UserError: the package is not installed, quality outside 0..100, or size outside 0..S.
    """

    name = "jxl"
    source = "ISO/IEC 18181, JPEG XL, 2022"
    Options = JxlOptions

    def __init__(self, options: Any, context: FormatContext) -> None:
        self.codec = jxl_codec(self.name)
        super().__init__(options, context)

    def _encode_one(self, image: Tensor) -> bytes:
        data: bytes = self.codec.jpegxl_encode(
            image.numpy(),
            distance=distance_of(self.quality),
            lossless=self.quality == 100,
            effort=9,
            usecontainer=False,
            numthreads=1,
        )
        return data

    def _decode_all(self, records: list[Tensor]) -> list[Tensor]:
        images = []
        for record in records:
            image = self.codec.jpegxl_decode(record.numpy().tobytes(), numthreads=1)
            images.append(torch.from_numpy(image).permute(2, 0, 1))
        return images


FORMAT = JxlFormat
