"""JPEG XL: dense, with a header short enough for small images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from seit_cl.core.errors import UserError
from seit_cl.formats._image_file import ImageFileFormat, write_image
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

    They need the package pillow-jxl-plugin, which is an extra because it is under the GPL.

    Raises:
        UserError: the package is not installed, quality outside 0..100, or size outside 0..S.
    """

    name = "jxl"
    source = "ISO/IEC 18181, JPEG XL, 2022"
    Options = JxlOptions

    def __init__(self, options: Any, context: FormatContext) -> None:
        try:
            import pillow_jxl  # noqa: F401  # registers the format with Pillow
        except ImportError:
            raise UserError(
                "jxl: JPEG XL needs another package; pip install 'seit_cl[jxl]'"
            ) from None
        super().__init__(options, context)

    def _encode_one(self, image: Tensor) -> bytes:
        quality = self.quality
        return write_image(
            image, "JXL", quality=quality, lossless=quality == 100, effort=9, num_threads=1
        )


FORMAT = JxlFormat
