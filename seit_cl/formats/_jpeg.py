"""The common parts of the formats that store baseline JPEG: options, encoder and decoder."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torchvision.io import ImageReadMode, decode_jpeg

from seit_cl.core.errors import UserError
from seit_cl.formats._image_file import ImageFileFormat, write_image
from seit_cl.formats._quality import DEFAULT_QUALITY, Quality
from seit_cl.formats.base import FormatContext

CHROMA = {420: "4:2:0", 422: "4:2:2", 444: "4:4:4"}


@dataclass(frozen=True)
class JpegOptions:
    """Options of a JPEG format.

    Args:
        quality: libjpeg's quality, 1..100, or auto: chosen for the budget (formats/_quality.py).
        size: side in pixels at which images are stored, 1..S; 0 is the learner's resolution S.
        chroma: subsampling of chroma: 420 (both sides halved), 422 (the width) or 444 (none).
    """

    quality: Quality = DEFAULT_QUALITY
    size: int = 0
    chroma: int = 420


class BaselineJpegFormat(ImageFileFormat):
    """Base class of the JPEG formats: checks the options, writes files, and decodes them.

    Raises:
        UserError: quality outside 1..100, size outside 0..S, or a chroma that is not in CHROMA.
    """

    source = "ITU-T T.81, JPEG, 1992"
    qualities = (1, 100)
    Options = JpegOptions

    def __init__(self, options: JpegOptions, context: FormatContext) -> None:
        if options.chroma not in CHROMA:
            choices = ", ".join(str(chroma) for chroma in CHROMA)
            raise UserError(
                f"{self.name}: chroma={options.chroma} is none of {choices}; try chroma=420"
            )
        super().__init__(options, context)

    @property
    def spec(self) -> str:
        """Canonical spec. The default chroma is left out, as in memories older than the option."""
        return super().spec.removesuffix(",chroma=420")

    def _write(self, image: Tensor, optimize: bool) -> bytes:
        """Encode an image as a JPEG file.

        Args:
            image: (H, W, 3) uint8.
            optimize: fit the Huffman tables to the image instead of using the standard's.
        """
        settings = {"quality": self.quality, "subsampling": CHROMA[self.options.chroma]}
        return write_image(image, "JPEG", optimize=optimize, **settings)

    def _decode_all(self, records: list[Tensor]) -> list[Tensor]:
        return list(decode_jpeg(records, mode=ImageReadMode.RGB))
