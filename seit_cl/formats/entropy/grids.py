"""Coders of token grids: an EntropyModel's probabilities and the range coder make records."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from seit_cl.formats._records import Records
from seit_cl.formats.entropy import range_coder
from seit_cl.formats.entropy.model import NEIGHBOURS, REACH, EntropyModel, neighbours_of

TOKENS_AT_ONCE = 512  # intervals computed together, which stay in a CPU's cache
EXEMPLARS_AT_ONCE = 512  # decoded together


class GridCoder:
    """Coder of grids (B, H, W) of codes 0..K-1, row by row.

    Args:
        model: probabilities of the tokenizer's codes.
        height, width: H and W.
    """

    neighbour_count = len(NEIGHBOURS)  # the first of NEIGHBOURS, which the probabilities depend on

    def __init__(self, model: EntropyModel, height: int, width: int) -> None:
        self.model = model
        self.grid_shape: tuple[int, int] = (height, width)

    def encode(self, tokens: Tensor) -> Records:
        """Encode grids (B, H, W), on their device."""
        model = self.model.on(tokens.device)
        neighbours = neighbours_of(tokens, model.codes)[..., : self.neighbour_count]
        parts = zip(
            neighbours.flatten(0, 2).split(TOKENS_AT_ONCE),
            tokens.flatten().long().split(TOKENS_AT_ONCE),
            strict=True,
        )
        starts, widths = [], []
        for near, codes in parts:
            start, width = self._interval(model, near, codes)
            starts.append(start)
            widths.append(width)
        shape = (len(tokens), math.prod(self.grid_shape))
        return range_coder.encode(torch.cat(starts).view(shape), torch.cat(widths).view(shape))

    def decode(self, records: Records) -> Tensor:
        """Grids (B, H, W) int16 of records, on their device."""
        if len(records) == 0:
            return records.data.new_zeros((0, *self.grid_shape), dtype=torch.int16)
        grids = []
        for part in torch.arange(len(records), device=records.lengths.device).split(
            EXEMPLARS_AT_ONCE
        ):
            chosen = Records(records.data, records.offsets[part], records.lengths[part])
            grids.append(self._decode(chosen))
        return torch.cat(grids)

    def _decode(self, records: Records) -> Tensor:
        """Grids (B, H, W) int16, token by token, of all records at once."""
        device = records.data.device
        model = self.model.on(device)
        decoder = range_coder.Decoder(records)
        height, width = self.grid_shape
        # Grids have a border of code K and are flattened, so neighbours are at fixed distances.
        row_length = width + 2 * REACH
        size = (len(records), (height + REACH) * row_length)
        framed = torch.full(size, model.codes, device=device)
        distances = [y * row_length + x for y, x in NEIGHBOURS[: self.neighbour_count]]
        neighbour_offsets = torch.tensor(distances, device=device)
        for place in self._places(row_length):
            near = framed[:, neighbour_offsets + place]
            token, start, token_width = self._next(model, near, decoder.peek())
            decoder.take(start, token_width)
            framed[:, place] = token
        rows = framed.view(len(records), height + REACH, row_length)
        return rows[:, REACH:, REACH : REACH + width].to(torch.int16)

    def _places(self, row_length: int) -> Iterator[int]:
        """Places of the tokens in a flattened grid with its border, in the order of coding."""
        height, width = self.grid_shape
        for y in range(height):
            for x in range(width):
                yield (y + REACH) * row_length + x + REACH

    def _interval(self, model: EntropyModel, near: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Start and width (B,) int64 of codes (B,) int64 with neighbours (B, N)."""
        raise NotImplementedError

    def _next(
        self, model: EntropyModel, near: Tensor, value: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Codes (B,) whose intervals hold values (B,), with start and width (B,) int64.

        Args:
            model: on the device of the values.
            near: (B, N), the neighbours.
            value: (B,) int64 in 0..TOTAL-1.
        """
        raise NotImplementedError


class TablesCoder(GridCoder):
    """Coder with the model's tables: the left and the upper neighbour decide; fast."""

    neighbour_count = 2

    def _interval(self, model: EntropyModel, near: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        starts = model.table_starts.view(-1)
        row = model.table_context(near[:, 0], near[:, 1]) * (model.codes + 1)
        start = starts[row + codes].long()
        return start, starts[row + codes + 1] - start

    def _next(
        self, model: EntropyModel, near: Tensor, value: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        starts = model.table_starts.view(-1)
        row = model.table_context(near[:, 0], near[:, 1]) * (model.codes + 1)
        # The last start that is not above the value is searched first by strides, then one by one:
        # a row is too long to be copied for every token.
        stride = math.isqrt(model.codes - 1) + 1
        steps = torch.arange(stride, device=value.device)
        token = torch.zeros_like(value)
        for step in (stride, 1):
            places = (token[:, None] + step * steps).clamp_max(model.codes)
            not_above = starts[row[:, None] + places] <= value[:, None]
            token = token + step * (not_above.sum(1) - 1)
        start = starts[row + token].long()
        return token, start, starts[row + token + 1] - start


class ContextCoder(GridCoder):
    """Coder with the model's network: ten neighbours decide; dense."""

    def _interval(self, model: EntropyModel, near: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        starts = model.network_starts(near)
        start = starts.gather(1, codes[:, None])[:, 0].long()
        return start, starts.gather(1, codes[:, None] + 1)[:, 0] - start

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
