"""Base of formats that store the files of the data set."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

import torch
from torch import Tensor

from seit_cl.core.specs import NoOptions
from seit_cl.data.decoding import decode_image, no_pixel_limit
from seit_cl.data.samples import Samples
from seit_cl.formats._records import Records
from seit_cl.formats.base import FormatContext


class OriginalFiles:
    """One original file per record, decoded to the same pixels as the data set itself.

    Args:
        options: none.
        context: the learner's resolution S in pixels.
    """

    Options = NoOptions
    source: ClassVar[str]
    domain: Literal["pixels", "tokens"] = "pixels"
    stores_files = True  # the data set needs image files
    spec: ClassVar[str]

    def __init__(self, options: NoOptions, context: FormatContext) -> None:
        self.side = context.resolution
        self.fixed_length: int | None = None
        self.side_info = b""
        self.codec_bytes = 0

    @classmethod
    def build(cls, options: NoOptions, context: FormatContext) -> Self:
        """Build the format."""
        return cls(options, context)

    def encode(self, samples: Samples) -> Records:
        """Take the bytes of the samples' files.

        Raises:
            UserError: the samples do not come from files.
        """
        return Records.from_bytes(samples.files())

    def decode(self, records: Records) -> Tensor:
        """Pixels (B, 3, S, S) uint8, on the CPU.

        Raises:
            Exception: any, where a record is not an image file.
        """
        images = torch.empty((len(records), self.side, self.side, 3), dtype=torch.uint8)
        rows = images.numpy()
        data = records.data.cpu().numpy()
        spans = zip(records.offsets.tolist(), records.lengths.tolist(), strict=True)
        with no_pixel_limit():
            for i, (start, length) in enumerate(spans):
                file = self._file(data[start : start + length].tobytes())
                rows[i] = decode_image(file, self.side)
        return images.permute(0, 3, 1, 2).contiguous()

    def _file(self, record: bytes) -> bytes:
        """The image file of a record."""
        return record
