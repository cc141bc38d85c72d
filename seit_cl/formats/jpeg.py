"""Baseline JPEG at one quality and side: the usual compressed replay memory (MRDC, Wang et al., ICLR 2022)."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from PIL import Image
from torch import Tensor
from torchvision.io import ImageReadMode, decode_jpeg
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

from seit_cl.errors import UserError
from seit_cl.formats.base import FormatContext, Records
from seit_cl.samples import Samples


@dataclass(frozen=True)
class JpegOptions:
    """Options of the JPEG format.

    Args:
        quality: libjpeg's quality, 1..100.
        size: side in pixels at which images are stored, 1..S; 0 is the learner's resolution S.
    """

    quality: int = 75
    size: int = 0


class JpegFormat:
    """JPEG files with 4:2:0 chroma, optimised Huffman tables and no metadata; images come back at the learner's side S.

    Args:
        options: quality and stored side.
        context: gives the learner's resolution S in pixels.

    Raises:
        UserError: quality outside 1..100, or size outside 0..S.
    """

    Options = JpegOptions
    name: ClassVar[str] = "jpeg"
    domain: Literal["pixels", "tokens"] = "pixels"

    def __init__(self, options: JpegOptions, context: FormatContext) -> None:
        if not 1 <= options.quality <= 100:
            raise UserError(f"{self.name}: quality={options.quality} is outside 1..100; try quality=75")
        if not 0 <= options.size <= context.resolution:
            raise UserError(f"{self.name}: size={options.size} is outside 0..{context.resolution} (the learner's resolution in "
                            "pixels)")  # fmt: skip
        self.quality = options.quality
        self.size = options.size or context.resolution
        self.side = context.resolution
        self.fixed_length: int | None = None
        self.side_info = b""

    @property
    def spec(self) -> str:
        """The canonical spec, e.g. "jpeg:quality=75,size=64"."""
        return f"{self.name}:quality={self.quality},size={self.size}"

    def encode(self, samples: Samples) -> Records:
        """One record an image, from pixels (B, 3, S, S) uint8."""
        pixels = _resize(samples.pixels(), self.size)
        return Records.from_bytes([self._encode_one(image) for image in pixels.permute(0, 2, 3, 1).contiguous()])

    def _encode_one(self, image: Tensor) -> bytes:
        """The record of one image (H, W, 3) uint8: its JPEG file."""
        return jpeg_file(image, self.quality, optimize=True)

    def _file(self, record: Tensor) -> Tensor:
        """The JPEG file (L,) uint8 of a record: the record itself."""
        return record

    def decode(self, records: Records) -> Tensor:
        """Pixels (B, 3, S, S) uint8, on the CPU.

        Raises:
            RuntimeError: a record is no JPEG file.
        """
        if len(records) == 0:
            return torch.zeros((0, 3, self.side, self.side), dtype=torch.uint8)
        data = records.data.cpu()
        spans = zip(records.offsets.tolist(), records.lengths.tolist(), strict=True)
        images = decode_jpeg([self._file(data[start : start + length]) for start, length in spans], mode=ImageReadMode.RGB)
        return _resize(torch.stack(list(images)), self.side)


def jpeg_file(image: Tensor, quality: int, optimize: bool) -> bytes:
    """A baseline JPEG file with 4:2:0 chroma of an image (H, W, 3) uint8; with Huffman tables of its own or libjpeg's."""
    out = io.BytesIO()
    Image.fromarray(image.numpy()).save(out, "JPEG", quality=quality, optimize=optimize, subsampling="4:2:0")
    return out.getvalue()


def _resize(pixels: Tensor, side: int) -> Tensor:
    """Images (B, 3, s, s) uint8 at another side in pixels, bicubic with antialiasing."""
    if pixels.shape[-1] == side or len(pixels) == 0:
        return pixels
    return F.resize(pixels, [side, side], interpolation=InterpolationMode.BICUBIC, antialias=True)


FORMAT = JpegFormat
