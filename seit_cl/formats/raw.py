"""Uncompressed pixels, three bytes each: the most that an exemplar can cost."""

from __future__ import annotations

from typing import Literal, Self

from torch import Tensor

from seit_cl.core.specs import NoOptions
from seit_cl.data.samples import Samples
from seit_cl.formats._pixels import pixels_of
from seit_cl.formats._records import Records
from seit_cl.formats.base import FormatContext


class RawFormat:
    """uint8 pixels (3, S, S) in row-major order: 3*S*S bytes per exemplar.

    Args:
        options: none.
        context: the learner's resolution S in pixels.
    """

    Options = NoOptions
    source = "pixels without compression"
    domain: Literal["pixels", "tokens"] = "pixels"

    def __init__(self, options: NoOptions, context: FormatContext) -> None:
        self.side = context.resolution
        self.fixed_length: int | None = 3 * self.side * self.side
        self.side_info = b""
        self.codec_bytes = 0

    @classmethod
    def build(cls, options: NoOptions, context: FormatContext) -> Self:
        """Build the format."""
        return cls(options, context)

    @property
    def spec(self) -> str:
        """Canonical spec: "raw"."""
        return "raw"

    def encode(self, samples: Samples) -> Records:
        """Encode pixels (B, 3, S, S) uint8 into records of 3*S*S bytes."""
        pixels = pixels_of(samples, self.side)
        return Records.from_rows(pixels.reshape(len(samples), -1).contiguous())

    def decode(self, records: Records) -> Tensor:
        """Pixels (B, 3, S, S) uint8, exactly those that were encoded."""
        return records.rows().reshape(len(records), 3, self.side, self.side)


FORMAT = RawFormat
