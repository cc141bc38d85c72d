"""Learned image codecs: latents of a neural network, entropy-coded, with weights from a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from seit_cl.core.errors import UserError
from seit_cl.core.precision import float32_arithmetic
from seit_cl.formats._image_file import ImageFileFormat
from seit_cl.formats._learned_nets import analysis, hyper_analysis, synthesis
from seit_cl.formats._learned_weights import read_codec
from seit_cl.formats._records import Records
from seit_cl.formats._symbols import LARGEST
from seit_cl.formats.base import FormatContext
from seit_cl.formats.entropy import range_coder

CPU = torch.device("cpu")


@dataclass(frozen=True)
class LearnedOptions:
    """Options of the learned format.

    Args:
        weights: file of weights, .safetensors or a state dict of torch.save (.pth), of CompressAI's
            bmshj2018-factorized or bmshj2018-hyperprior after update().
        size: side in pixels at which images are stored, 1..S; 0 is the learner's resolution S.
    """

    weights: str = ""
    size: int = 0


class LearnedFormat(ImageFileFormat):
    """Latents of a learned codec as one range-coded message, decoded to the learner's side S.

    A record has neither lengths nor sides. Networks see one image at a time, so that a record does
    not depend on others.

    Raises:
        UserError: no weights, other weights, or size outside 0..S.
    """

    name = "learned"
    source = "Balle et al., ICLR 2018; CompressAI, Begaint et al., arXiv:2011.03029, 2020"
    Options = LearnedOptions

    def __init__(self, options: Any, context: FormatContext) -> None:
        super().__init__(options, context)
        if not options.weights:
            raise UserError("learned: no weights; give learned:weights=FILE (docs/formats.md)")
        self.codec = read_codec(Path(options.weights))
        self.codec_bytes = self.codec.codec_bytes
        self.stored_side = -(-self.size // self.codec.stride) * self.codec.stride
        self.before = (self.stored_side - self.size) // 2  # pixels of the border, above and left

    @property
    def side_info(self) -> bytes:
        """Identity of the weights that records are written with."""
        return bytes.fromhex(self.codec.identity)

    @side_info.setter
    def side_info(self, saved: bytes) -> None:
        """Check the side_info of a memory file.

        Raises:
            UserError: its records were written with other weights and cannot be decoded.
        """
        if saved != self.side_info:
            raise UserError(
                f"{self.spec}: these records were written with other weights; put the earlier file "
                "in the place of this one"
            )

    def _encode_all(self, images: Tensor) -> list[bytes]:
        """Records of images (B, H, W, 3) uint8."""
        pixels = images.permute(0, 3, 1, 2)
        with torch.no_grad(), float32_arithmetic(CPU):
            messages = [self._message(image) for image in pixels]
        return _coded(messages)

    def _message(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Starts and widths (P,) of the message of an image (3, H, W) uint8."""
        after = self.stored_side - self.size - self.before
        border = (self.before, after, self.before, after)
        latents = analysis(self.codec.state, pad(image[None] / 255, border))
        if self.codec.hyper is None or self.codec.gaussian is None:
            values = _integers(latents - self.codec.medians)
            return self.codec.bottleneck.intervals(values[0], self._channels(1)[0])
        side = hyper_analysis(self.codec.state, latents)
        rows = self._channels(1)[0]
        # Outside of its tables z gains nothing: it describes scales, not the image.
        side_values = self.codec.bottleneck.clamp(_integers(side - self.codec.medians)[0], rows)
        side_starts, side_widths = self.codec.bottleneck.intervals(side_values, rows)
        scale_rows = self._scale_rows(side_values[None])[0]
        starts, widths = self.codec.gaussian.intervals(_integers(latents)[0], scale_rows)
        return torch.cat([side_starts, starts]), torch.cat([side_widths, widths])

    def _decode_all(self, records: list[Tensor]) -> list[Tensor]:
        """Images (3, H, W) uint8 of records (L,) uint8."""
        if not records:
            return []
        lengths = torch.tensor([len(record) for record in records])
        coded = Records(torch.cat(records), lengths.cumsum(0) - lengths, lengths)
        with torch.no_grad(), float32_arithmetic(CPU):
            latents = self._latents(range_coder.Decoder(coded), len(records))
            return [self._image(one) for one in latents]

    def _latents(self, decoder: range_coder.Decoder, count: int) -> Tensor:
        """Latents (B, M, h, w) float32 of messages."""
        tables = self.codec.bottleneck
        rows = self._channels(count)
        symbols = tables.read(decoder, rows)
        if self.codec.gaussian is None:
            values = tables.values_at_end(decoder, symbols, rows)
            return self._as_grid(values, 16).float() + self.codec.medians
        scale_rows = self._scale_rows(tables.values(symbols, rows))
        latents = self.codec.gaussian.read(decoder, scale_rows)
        values = self.codec.gaussian.values_at_end(decoder, latents, scale_rows)
        return self._as_grid(values, 16).float()

    def _scale_rows(self, side_values: Tensor) -> Tensor:
        """Rows (B, P) of the tables of y, from the integers (B, Q) of z."""
        assert self.codec.hyper is not None and self.codec.scales is not None
        side = self._as_grid(side_values, 64).double() + self.codec.medians.double()
        one_by_one = [self.codec.hyper(one[None]) for one in side]
        scales = torch.cat(one_by_one).flatten(1)
        return torch.searchsorted(self.codec.scales[:-1], scales)

    def _channels(self, count: int) -> Tensor:
        """Channels (B, P) of the integers of a grid, the rows of their tables."""
        channels = torch.arange(len(self.codec.medians))
        places = (self.stored_side // self.codec.stride) ** 2
        return channels.repeat_interleave(places).expand(count, -1)

    def _as_grid(self, values: Tensor, stride: int) -> Tensor:
        """Integers (B, P) as a grid (B, C, h, w), where a position has `stride` pixels."""
        side = self.stored_side // stride
        return values.view(len(values), -1, side, side)

    def _image(self, latents: Tensor) -> Tensor:
        """Image (3, H, W) uint8 of latents (M, h, w)."""
        image = synthesis(self.codec.state, latents[None])[0].clamp(0, 1)
        inner = slice(self.before, self.before + self.size)
        return (image[:, inner, inner] * 255).round().to(torch.uint8)


def _integers(values: Tensor) -> Tensor:
    """Round values (B, C, h, w) to integers (B, P) int64."""
    finite = values.nan_to_num().clamp(-LARGEST, LARGEST)
    return finite.round().long().flatten(1)


def _coded(messages: list[tuple[Tensor, Tensor]]) -> list[bytes]:
    """Encode messages, those of equal numbers of intervals at once.

    Args:
        messages: starts and widths (P,) of each.
    """
    by_length: dict[int, list[int]] = {}
    for place, (starts, _) in enumerate(messages):
        by_length.setdefault(len(starts), []).append(place)
    records = [b""] * len(messages)
    for places in by_length.values():
        starts = torch.stack([messages[place][0] for place in places])
        widths = torch.stack([messages[place][1] for place in places])
        coded = range_coder.encode(starts, widths).to_bytes()
        for place, record in zip(places, coded, strict=True):
            records[place] = record
    return records


FORMAT = LearnedFormat
