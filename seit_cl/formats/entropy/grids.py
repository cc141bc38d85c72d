"""Token grids to records and back by an EntropyModel, all exemplars of a batch in step."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from seit_cl.formats._records import Records
from seit_cl.formats.entropy import range_coder
from seit_cl.formats.entropy.model import NEIGHBOURS, REACH, EntropyModel, neighbours_of

TOKENS_AT_ONCE = 512  # whose intervals are made together, so that they stay in a CPU's cache
EXEMPLARS_AT_ONCE = 512  # decoded in step


class GridCoder:
    """Codes grids (B, H, W) of codes 0..K-1, row by row.

    Args:
        model: probabilities of the tokenizer's codes.
        height, width: of a grid.
    """

    neighbours = len(NEIGHBOURS)  # that it looks at

    def __init__(self, model: EntropyModel, height: int, width: int) -> None:
        self.model, self.height, self.width = model, height, width

    def encode(self, tokens: Tensor) -> Records:
        """Records of grids (B, H, W), on their device."""
        model = self.model.on(tokens.device)
        near = neighbours_of(tokens, model.codes)[..., : self.neighbours].flatten(0, 2)
        parts = zip(
            near.split(TOKENS_AT_ONCE), tokens.flatten().long().split(TOKENS_AT_ONCE), strict=True
        )
        found = [self._interval(model, *part) for part in parts]
        starts, widths = (
            torch.cat(column).view(len(tokens), self.height * self.width)
            for column in zip(*found, strict=True)
        )
        return range_coder.encode(starts, widths)

    def decode(self, records: Records) -> Tensor:
        """Grids (B, H, W) int16 of records, on their device."""
        parts = torch.arange(len(records), device=records.lengths.device).split(EXEMPLARS_AT_ONCE)
        grids = [
            self._decode(Records(records.data, records.offsets[part], records.lengths[part]))
            for part in parts
        ]
        empty = records.data.new_zeros((0, self.height, self.width), dtype=torch.int16)
        return torch.cat(grids) if grids else empty

    def _decode(self, records: Records) -> Tensor:
        device, model = records.data.device, self.model.on(records.data.device)
        decoder = range_coder.Decoder(records)
        span = self.width + 2 * REACH  # of a row with its frame
        frame = torch.full((len(records), (self.height + REACH) * span), model.codes, device=device)
        apart = torch.tensor(
            [y * span + x for y, x in NEIGHBOURS[: self.neighbours]], device=device
        )
        for place in self._places(span):
            token, start, width = self._next(model, frame[:, apart + place], decoder.peek())
            decoder.take(start, width)
            frame[:, place] = token
        grids = frame.view(len(records), self.height + REACH, span)[
            :, REACH:, REACH : REACH + self.width
        ]
        return grids.to(torch.int16)

    def _places(self, span: int) -> Iterator[int]:
        """Where tokens lie in a flattened framed grid, in the order of coding."""
        return (
            (y + REACH) * span + x + REACH for y in range(self.height) for x in range(self.width)
        )

    def _interval(self, model: EntropyModel, near: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Start and width (B,) int64 of tokens (B,) after neighbours (B, N)."""
        raise NotImplementedError

    def _next(
        self, model: EntropyModel, near: Tensor, value: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens (B,) after neighbours (B, N) whose intervals hold values (B,), with start and width (B,) int64."""
        raise NotImplementedError


class TablesCoder(GridCoder):
    """Asks the tables: fast."""

    neighbours = 2

    def _interval(self, model: EntropyModel, near: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        starts = model.table_starts.view(-1)
        row = model.table_context(near[:, 0], near[:, 1]) * (model.codes + 1)
        start = starts[row + tokens].long()
        return start, starts[row + tokens + 1] - start

    def _next(
        self, model: EntropyModel, near: Tensor, value: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        starts = model.table_starts.view(-1)
        row = model.table_context(near[:, 0], near[:, 1]) * (model.codes + 1)
        # The last start that is not above the value, found in two looks: a row is too long to be copied for every token.
        stride = math.isqrt(model.codes - 1) + 1
        ahead = torch.arange(stride, device=value.device)
        token = torch.zeros_like(value)
        for step in (stride, 1):
            places = (token[:, None] + step * ahead).clamp_max(model.codes)
            token = token + step * ((starts[row[:, None] + places] <= value[:, None]).sum(1) - 1)
        start = starts[row + token].long()
        return token, start, starts[row + token + 1] - start


class ContextCoder(GridCoder):
    """Asks the network: dense."""

    def _interval(self, model: EntropyModel, near: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        starts = model.network_starts(near)
        start = starts.gather(1, tokens[:, None])[:, 0].long()
        return start, starts.gather(1, tokens[:, None] + 1)[:, 0] - start

    def _next(
        self, model: EntropyModel, near: Tensor, value: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        starts = model.network_starts(near)
        token = torch.searchsorted(starts, value[:, None].int(), right=True) - 1
        start = starts.gather(1, token)[:, 0].long()
        return token[:, 0], start, starts.gather(1, token + 1)[:, 0] - start


CODERS: dict[str, Callable[[EntropyModel, int, int], GridCoder]] = {
    "table": TablesCoder,
    "context": ContextCoder,
}
