"""Base of formats that store one image file per exemplar."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import fields
from functools import partial
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

from seit_cl.core.blocks import images_at_once, slices
from seit_cl.core.errors import UserError
from seit_cl.core.specs import spec_text
from seit_cl.data.samples import Samples
from seit_cl.formats._pixels import pixels_of
from seit_cl.formats._quality import AUTO, CANDIDATES, ONE_CLASS
from seit_cl.formats._records import Records
from seit_cl.formats._trials import AT_ONCE, Trial, try_all
from seit_cl.formats.base import FormatContext


class ImageFileFormat:
    """One image file per record; images are decoded to the learner's side S.

    Args:
        options: frozen dataclass with `size`, the side in pixels at which images are stored (0: S),
            and, for lossy formats, `quality`.
        context: the learner's resolution S in pixels.

    Raises:
        UserError: quality outside `qualities`, or size outside 0..S.

    Attributes:
        name: of the plugin.
        qualities: least and largest quality of the library.
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
                f"{self.name}: size={options.size} is outside 0..{context.resolution} (the "
                "learner's resolution in pixels)"
            )
        self.options = options
        self.size = options.size or context.resolution
        self.side = context.resolution
        self.fixed_length: int | None = None
        self.codec_bytes = 0
        self.unfitted = quality == AUTO
        self.set_quality(CANDIDATES[0] if self.unfitted else int(quality))

    @classmethod
    def build(cls, options: Any, context: FormatContext) -> Self:
        """Build the format."""
        return cls(options, context)

    @property
    def spec(self) -> str:
        """Canonical spec, e.g. "jpeg:quality=75,size=64"."""
        names = [field.name for field in fields(self.options)]
        values = {name: getattr(self.options, name) for name in names} | {"size": self.size}
        return spec_text(self.name, "", values)

    def set_quality(self, quality: int) -> None:
        """Encode at a quality from now on."""
        self.quality = quality

    @property
    def side_info(self) -> bytes:
        """Fitted quality as one byte, 0 before `fit`; b"" where the options name the quality."""
        return self._quality_byte

    @side_info.setter
    def side_info(self, saved: bytes) -> None:
        """Set the quality that a memory file has.

        Raises:
            ValueError: no such quality.
        """
        self._set_quality_byte(saved)

    @property
    def _quality_byte(self) -> bytes:
        if getattr(self.options, "quality", None) != AUTO:
            return b""
        return bytes([0 if self.unfitted else self.quality])

    def _set_quality_byte(self, saved: bytes) -> None:
        """Set the quality that a memory file has.

        Raises:
            ValueError: no such quality.
        """
        if saved == self._quality_byte:
            return
        if not self._quality_byte or len(saved) != 1 or not self._is_quality(saved[0]):
            raise ValueError(f"{self.spec}: {saved!r} is no quality")
        self.unfitted = saved[0] == 0
        self.set_quality(saved[0] or CANDIDATES[0])

    def _is_quality(self, value: int) -> bool:
        """True for values that `side_info` may hold: 0 and the library's qualities."""
        low, high = self.qualities
        return value == 0 or low <= value <= high

    @property
    def chosen(self) -> str:
        """Fitted quality, e.g. "quality=25"; "" before `fit`, or where the options name it."""
        return f"quality={self.quality}" if self._quality_byte.strip(b"\0") else ""

    def fit(
        self,
        samples: Samples,
        features: Callable[[Tensor], Tensor],
        exemplars_per_class: Callable[[float], float],
    ) -> None:
        """Choose the quality, where the options do not name it (see formats/_quality.py)."""
        if not self.unfitted:
            return
        if len(samples.labels.unique()) == 1:
            quality = ONE_CLASS
        else:
            trials = [Trial(partial(self._store_at, quality)) for quality in CANDIDATES]
            fresh = try_all(trials, samples, self.side, features)
            errors = []
            for quality, trial in zip(CANDIDATES, trials, strict=True):
                self.set_quality(quality)  # which may change what the memory's file takes once
                count = exemplars_per_class(trial.mean_length)
                errors.append((trial.error(fresh, samples.labels, count), quality))
            quality = min(errors)[1]
        self.set_quality(quality)
        self.unfitted = False

    def _store_at(self, quality: int, samples: Samples) -> tuple[Records, Tensor]:
        """Encode samples (B,) at a quality, and decode their records."""
        self.set_quality(quality)
        records = self.encode(samples)
        return records, self.decode(records)

    def encode(self, samples: Samples) -> Records:
        """Encode pixels (B, 3, S, S) uint8, one image file each."""
        records: list[bytes] = []
        for part in slices(len(samples), images_at_once(self.side, AT_ONCE)):
            pixels = resize(pixels_of(samples[part], self.side), self.size)
            images = pixels.permute(0, 2, 3, 1).contiguous()
            records += self._encode_all(images)
        return Records.from_bytes(records)

    def decode(self, records: Records) -> Tensor:
        """Pixels (B, 3, S, S) uint8, on the CPU.

        Raises:
            OSError or RuntimeError: a record is not such a file.
        """
        pixels = torch.empty((len(records), 3, self.side, self.side), dtype=torch.uint8)
        data = records.data.cpu()
        starts = records.offsets.tolist()
        lengths = records.lengths.tolist()
        for part in slices(len(records), images_at_once(self.side, AT_ONCE)):
            files = []
            for start, length in zip(starts[part], lengths[part], strict=True):
                files.append(data[start : start + length])
            pixels[part] = resize(torch.stack(self._decode_all(files)), self.side)
        return pixels

    def _encode_all(self, images: Tensor) -> list[bytes]:
        """Records of images (B, H, W, 3) uint8."""
        return [self._encode_one(image) for image in images]

    def _encode_one(self, image: Tensor) -> bytes:
        """Record of one image (H, W, 3) uint8."""
        raise NotImplementedError

    def _decode_all(self, records: list[Tensor]) -> list[Tensor]:
        """Images (3, H, W) uint8 of records (L,) uint8."""
        images = []
        for record in records:
            image = Image.open(io.BytesIO(record.numpy().tobytes())).convert("RGB")
            images.append(torch.from_numpy(np.array(image)).permute(2, 0, 1))
        return images


def write_image(image: Tensor, kind: str, **settings: Any) -> bytes:
    """Encode an image as a file without metadata.

    Args:
        image: (H, W, 3) uint8.
        kind: Pillow's name of the file format.
        settings: Pillow's options of that format.
    """
    out = io.BytesIO()
    Image.fromarray(image.numpy()).save(out, kind, **settings)
    return out.getvalue()


def resize(pixels: Tensor, side: int) -> Tensor:
    """Resize images (B, 3, s, s) uint8 to a side in pixels, bicubic with antialiasing."""
    if pixels.shape[-1] == side or len(pixels) == 0:
        return pixels
    return F.resize(pixels, [side, side], interpolation=InterpolationMode.BICUBIC, antialias=True)
