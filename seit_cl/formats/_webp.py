"""The common parts of the formats that store lossy WebP: options and encoder."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from seit_cl.formats._image_file import ImageFileFormat, write_image
from seit_cl.formats._quality import DEFAULT_QUALITY, Quality


@dataclass(frozen=True)
class WebpOptions:
    """Options of the WebP format.

    Args:
        quality: libwebp's quality, 0..100, or auto: chosen for the budget.
        size: side in pixels at which images are stored, 1..S; 0 is the learner's resolution S.
    """

    quality: Quality = DEFAULT_QUALITY
    size: int = 0


class LossyWebpFormat(ImageFileFormat):
    """Base class of the WebP formats: libwebp's slowest and densest method, no metadata."""

    source = "RFC 9649, WebP, 2024"
    Options = WebpOptions

    def _encode_one(self, image: Tensor) -> bytes:
        return write_image(image, "WEBP", quality=self.quality, method=6)
