"""What formats that store an image file each have in common: the stored side, encoding one by one, decoding a batch."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import fields
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

from seit_cl.core.errors import UserError
from seit_cl.data.samples import Samples
from seit_cl.formats._quality import AUTO, CANDIDATES, pick
from seit_cl.formats._records import Records
from seit_cl.formats.base import FormatContext


class ImageFileFormat:
    """One image file a record; images come back at the learner's side S.

    Args:
        options: a frozen dataclass with `size`, the side in pixels at which images are stored (0: S), and perhaps `quality`.
        context: gives the learner's resolution S in pixels.

    Raises:
        UserError: quality outside `qualities`, or size outside 0..S.
    """

    name: ClassVar[str]
    source: ClassVar[str]
    qualities: ClassVar[tuple[int, int]] = (0, 100)
    Options: ClassVar[type[Any]]
    domain: Literal["pixels", "tokens"] = "pixels"

    def __init__(self, options: Any, context: FormatContext) -> None:
        low, high = self.qualities
        quality = getattr(options, "quality", low)
        if quality != AUTO and not low <= quality <= high:
            raise UserError(
                f"{self.name}: quality={quality} is outside {low}..{high}; try quality=75"
            )
        if not 0 <= options.size <= context.resolution:
            raise UserError(
                f"{self.name}: size={options.size} is outside 0..{context.resolution} (the learner's resolution in "
                "pixels)"
            )
        self.options = options
        self.size, self.side = options.size or context.resolution, context.resolution
        self.fixed_length: int | None = None
        self.codec_bytes = 0
        self.unfitted = quality == AUTO
        self.use(CANDIDATES[0] if self.unfitted else int(quality))

    @classmethod
    def build(cls, options: Any, context: FormatContext) -> Self:
        """Build the format."""
        return cls(options, context)

    @property
    def spec(self) -> str:
        """The canonical spec, e.g. "jpeg:quality=75,size=64"."""
        values = {
            field.name: getattr(self.options, field.name) for field in fields(self.options)
        } | {"size": self.size}
        return f"{self.name}:{','.join(f'{name}={value}' for name, value in values.items())}"

    def use(self, quality: int) -> None:
        """Store at a quality from here on."""
        self.quality = quality

    @property
    def side_info(self) -> bytes:
        """The quality that was chosen, one byte, 0 before it is; nothing where the options say it."""
        if getattr(self.options, "quality", None) != AUTO:
            return b""
        return bytes([0 if self.unfitted else self.quality])

    @side_info.setter
    def side_info(self, saved: bytes) -> None:
        """Take over what a memory's file says.

        Raises:
            ValueError: no such quality.
        """
        if saved == self.side_info:
            return
        if (
            not self.side_info
            or len(saved) != 1
            or not (saved[0] == 0 or self.qualities[0] <= saved[0] <= self.qualities[1])
        ):
            raise ValueError(f"{self.spec}: {saved!r} is no quality")
        self.unfitted = saved[0] == 0
        self.use(saved[0] or CANDIDATES[0])

    @property
    def chosen(self) -> str:
        """The quality in words where the options left it open and it has been chosen; else ""."""
        return f"quality={self.quality}" if self.side_info.strip(b"\0") else ""

    def fit(
        self, samples: Samples, features: Callable[[Tensor], Tensor], fits: Callable[[float], float]
    ) -> None:
        """Choose the quality, where the options leave it open (see formats/_quality.py)."""

        def encoded(quality: int) -> tuple[Tensor, float]:
            self.use(quality)
            records = self.encode(samples)
            return self.decode(records), fits(float(records.lengths.double().mean()))

        if self.unfitted:
            self.use(pick(encoded, features, samples.pixels(), samples.labels))
            self.unfitted = False

    def encode(self, samples: Samples) -> Records:
        """One record an image, from pixels (B, 3, S, S) uint8."""
        pixels = resize(samples.pixels(), self.size)
        return Records.from_bytes(
            [self._encode_one(image) for image in pixels.permute(0, 2, 3, 1).contiguous()]
        )

    def decode(self, records: Records) -> Tensor:
        """Pixels (B, 3, S, S) uint8, on the CPU.

        Raises:
            OSError or RuntimeError: a record is no such file.
        """
        if len(records) == 0:
            return torch.zeros((0, 3, self.side, self.side), dtype=torch.uint8)
        data = records.data.cpu()
        spans = zip(records.offsets.tolist(), records.lengths.tolist(), strict=True)
        images = self._decode_all([data[start : start + length] for start, length in spans])
        return resize(torch.stack(images), self.side)

    def _encode_one(self, image: Tensor) -> bytes:
        """The record of one image (H, W, 3) uint8."""
        raise NotImplementedError

    def _decode_all(self, records: list[Tensor]) -> list[Tensor]:
        """Images (3, H, W) uint8 of records (L,) uint8."""
        opened = (
            Image.open(io.BytesIO(record.numpy().tobytes())).convert("RGB") for record in records
        )
        return [torch.from_numpy(np.array(image)).permute(2, 0, 1) for image in opened]


def write_image(image: Tensor, kind: str, **settings: Any) -> bytes:
    """The file of an image (H, W, 3) uint8, of one of Pillow's kinds, with Pillow's settings for it; no metadata."""
    out = io.BytesIO()
    Image.fromarray(image.numpy()).save(out, kind, **settings)
    return out.getvalue()


def resize(pixels: Tensor, side: int) -> Tensor:
    """Images (B, 3, s, s) uint8 at another side in pixels, bicubic with antialiasing."""
    if pixels.shape[-1] == side or len(pixels) == 0:
        return pixels
    return F.resize(pixels, [side, side], interpolation=InterpolationMode.BICUBIC, antialias=True)
