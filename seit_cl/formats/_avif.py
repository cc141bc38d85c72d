"""The common parts of the formats that store AVIF: options and encoder."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from seit_cl.formats._image_file import ImageFileFormat, write_image
from seit_cl.formats._quality import DEFAULT_QUALITY, Quality


@dataclass(frozen=True)
class AvifOptions:
    """Options of the AVIF format.

    Args:
        quality: libavif's quality, 0..100, or auto: chosen for the budget.
        size: side in pixels at which images are stored, 1..S; 0 is the learner's resolution S.
    """

    quality: Quality = DEFAULT_QUALITY
    size: int = 0


class LossyAvifFormat(ImageFileFormat):
    """Base class of the AVIF formats: 4:2:0 chroma at libavif's speed 6.

    One thread encodes, so that records do not depend on the number of cores.
    """

    source = "Alliance for Open Media, AVIF 1.1, 2022"
    Options = AvifOptions

    def _encode_one(self, image: Tensor) -> bytes:
        return write_image(
            image, "AVIF", quality=self.quality, subsampling="4:2:0", speed=6, max_threads=1
        )
