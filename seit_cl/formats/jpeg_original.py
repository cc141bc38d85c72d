"""The data set's own files, byte for byte: `jpeg:original`, for most data sets are JPEGs; others are kept as they are."""

from __future__ import annotations

import io
from typing import Literal, Self

import torch
from torch import Tensor

from seit_cl.core.specs import NoOptions
from seit_cl.data.images import decode_image, no_pixel_limit
from seit_cl.data.samples import Samples
from seit_cl.formats._records import Records
from seit_cl.formats.base import FormatContext


class JpegOriginalFormat:
    """One original file a record. It comes back as a run sees it when it reads the data set: the very same pixels.

    Args:
        options: none.
        context: gives the learner's resolution S in pixels.
    """

    Options = NoOptions
    source = "the files of the data set"
    domain: Literal["pixels", "tokens"] = "pixels"
    spec = "jpeg:original"

    def __init__(self, options: NoOptions, context: FormatContext) -> None:
        self.side = context.resolution
        self.fixed_length: int | None = None
        self.side_info, self.codec_bytes = b"", 0

    @classmethod
    def build(cls, options: NoOptions, context: FormatContext) -> Self:
        """Build the format."""
        return cls(options, context)

    def encode(self, samples: Samples) -> Records:
        """One record an image: the file's bytes.

        Raises:
            UserError: the samples came from no files.
        """
        return Records.from_bytes(samples.files())

    def decode(self, records: Records) -> Tensor:
        """Pixels (B, 3, S, S) uint8, on the CPU.

        Raises:
            one of BAD_IMAGE: a record is no image file.
        """
        images = torch.empty((len(records), self.side, self.side, 3), dtype=torch.uint8)
        rows = images.numpy()
        with no_pixel_limit():
            for i, record in enumerate(records.to_bytes()):
                rows[i] = decode_image(io.BytesIO(record), self.side)
        return images.permute(0, 3, 1, 2).contiguous()


FORMAT = JpegOriginalFormat
