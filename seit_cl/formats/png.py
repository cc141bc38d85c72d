"""PNG: lossless, in fewer bytes than raw."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from seit_cl.formats._image_file import ImageFileFormat, write_image


@dataclass(frozen=True)
class PngOptions:
    """Options of the PNG format.

    Args:
        size: side in pixels at which images are stored, 1..S; 0 is the learner's resolution S, the
            only lossless one.
    """

    size: int = 0


class PngFormat(ImageFileFormat):
    """PNG files with the best filters and compression that Pillow finds, without metadata."""

    name = "png"
    source = "ISO/IEC 15948, PNG, 2004"
    Options = PngOptions

    def _encode_one(self, image: Tensor) -> bytes:
        return write_image(image, "PNG", optimize=True)


FORMAT = PngFormat
