"""Coders of token grids: an EntropyModel's probabilities and the range coder make records."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from seit_cl.core.errors import UserError
from seit_cl.formats._records import Records
from seit_cl.formats.entropy import range_coder
from seit_cl.formats.entropy.columns import NEIGHBOURS, REACH, columns_of
from seit_cl.formats.entropy.compact import MAX_SIZE, identity_of
from seit_cl.formats.entropy.model import EntropyModel
from seit_cl.formats.entropy.network import CodeNetwork

TOKENS_AT_ONCE = 512  # intervals computed together, which stay in a CPU's cache
EXEMPLARS_AT_ONCE = 512  # decoded together


class GridCoder:
    """Coder of grids of codes 0..K-1, row by row.

    Of several codes a position, all first ones are coded first, then all second ones, so that the
    first codes do not depend on the further ones.

    Args:
        model: probabilities of the tokenizer's codes, G of each position.
        height, width: H and W.

    Attributes:
        grid_shape: (H, W), or (G, H, W) of several codes a position.
    """

    def __init__(self, model: EntropyModel, height: int, width: int) -> None:
        self.model = model
        self.sides = (height, width)
        groups = len(model.parts)
        self.grid_shape: tuple[int, ...] = (height, width)
        if groups > 1:
            self.grid_shape = (groups, height, width)

    @property
    def codec_bytes(self) -> int:
        """Bytes of the model's tensors that this coder needs."""
        raise NotImplementedError

    @property
    def identity(self) -> bytes:
        """Eight bytes of the numbers that records need."""
        return self.model.identity

    def encode(self, tokens: Tensor) -> Records:
        """Encode grids (B, *grid_shape), on their device."""
        model = self.model.on(tokens.device)
        grids = tokens.long().reshape(len(tokens), len(model.parts), *self.sides)
        starts, widths = [], []
        for group, part in enumerate(model.parts):
            start, width = self._intervals(part, grids, group)
            starts.append(start)
            widths.append(width)
        return range_coder.encode(torch.cat(starts, 1), torch.cat(widths, 1))

    def _intervals(self, model: EntropyModel, grids: Tensor, group: int) -> tuple[Tensor, Tensor]:
        """Start and width (B, H * W) int64 of one code of each position of grids (B, G, H, W)."""
        near = columns_of(model, grids, group, self._columns(model))
        parts = zip(
            near.flatten(0, 2).split(TOKENS_AT_ONCE),
            grids[:, group].flatten().split(TOKENS_AT_ONCE),
            strict=True,
        )
        starts, widths = [], []
        for known, codes in parts:
            start, width = self._interval(model, known, codes)
            starts.append(start)
            widths.append(width)
        shape = (len(grids), math.prod(self.sides))
        return torch.cat(starts).view(shape), torch.cat(widths).view(shape)

    def decode(self, records: Records) -> Tensor:
        """Grids (B, *grid_shape) int16 of records, on their device."""
        if len(records) == 0:
            return records.data.new_zeros((0, *self.grid_shape), dtype=torch.int16)
        grids = []
        for part in torch.arange(len(records), device=records.lengths.device).split(
            EXEMPLARS_AT_ONCE
        ):
            chosen = Records(records.data, records.offsets[part], records.lengths[part])
            grids.append(self._decode(chosen))
        return torch.cat(grids).view(len(records), *self.grid_shape)

    def _decode(self, records: Records) -> Tensor:
        """Grids (B, G, H, W) int16, token by token, of all records at once."""
        device = records.data.device
        model = self.model.on(device)
        decoder = range_coder.Decoder(records)
        height, width = self.sides
        # Grids have a border of code K and are flattened, so neighbours are at fixed distances, and
        # so are the codes of one position.
        row_length = width + 2 * REACH
        plane = (height + REACH) * row_length
        framed = torch.full((len(records), len(model.parts) * plane), model.codes, device=device)
        for group, part in enumerate(model.parts):
            distances, has_place = _distances(part, self._columns(part), row_length, plane)
            offsets = torch.tensor(distances, device=device)
            for place in self._places(row_length):
                near = framed[:, offsets + (group * plane + place)]
                if has_place:
                    number = near.new_full((len(near), 1), place % row_length - REACH)
                    near = torch.cat([near, number], 1)
                token, start, token_width = self._next(part, near, decoder.peek())
                decoder.take(start, token_width)
                framed[:, group * plane + place] = token
        rows = framed.view(len(records), -1, height + REACH, row_length)
        return rows[:, :, REACH:, REACH : REACH + width].to(torch.int16)

    def _places(self, row_length: int) -> Iterator[int]:
        """Places of the tokens in a flattened grid with its border, in the order of coding."""
        height, width = self.sides
        for y in range(height):
            for x in range(width):
                yield (y + REACH) * row_length + x + REACH

    def _columns(self, model: EntropyModel) -> Sequence[int]:
        """Columns of EntropyModel that the probabilities depend on."""
        raise NotImplementedError

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
    """Coder with the model's tables: two columns decide, e.g. left and upper neighbour; fast."""

    @property
    def codec_bytes(self) -> int:
        """Bytes of the tables."""
        return self.model.table_bytes

    def _columns(self, model: EntropyModel) -> Sequence[int]:
        return model.table_columns

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
    """Coder with the model's network: all columns decide, ten neighbours and others; dense."""

    @property
    def codec_bytes(self) -> int:
        """Bytes of the network."""
        return self.model.network_bytes

    def _columns(self, model: EntropyModel) -> Sequence[int]:
        return range(model.columns)

    def _network(self, model: EntropyModel) -> CodeNetwork:
        """Network of one code of a position."""
        return model.network

    def _interval(self, model: EntropyModel, near: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        starts = self._network(model).starts(near)
        start = starts.gather(1, codes[:, None])[:, 0].long()
        return start, starts.gather(1, codes[:, None] + 1)[:, 0] - start

    def _next(
        self, model: EntropyModel, near: Tensor, value: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        starts = self._network(model).starts(near)
        token = torch.searchsorted(starts, value[:, None].int(), right=True) - 1
        start = starts.gather(1, token)[:, 0].long()
        return token[:, 0], start, starts.gather(1, token + 1)[:, 0] - start


class CompactCoder(ContextCoder):
    """Coder with the model's compact network: a few kilobytes, for somewhat longer records.

    Raises:
        UserError: the model has no compact network.
    """

    def __init__(self, model: EntropyModel, height: int, width: int) -> None:
        super().__init__(model, height, width)
        if not model.compact_parts:
            raise UserError(
                f"tokens: coder=compact: the entropy model of tokenizer {model.tokenizer} has no "
                "compact network; fit it again with python -m seit_cl.tokenize entropy (vectors of "
                f"at most {MAX_SIZE} numbers), or use coder=context"
            )

    @property
    def codec_bytes(self) -> int:
        """Bytes of the compact network, without the tokenizer's vectors."""
        return sum(part.nbytes for part in self.model.compact_parts)

    @property
    def identity(self) -> bytes:
        """Eight bytes of the compact network and its vectors."""
        return identity_of(self.model.compact_parts)

    def _network(self, model: EntropyModel) -> CodeNetwork:
        assert model.compact is not None  # checked when the coder was built
        return model.compact.network


def _distances(
    model: EntropyModel, columns: Sequence[int], row_length: int, plane: int
) -> tuple[list[int], bool]:
    """Distances of columns in flattened grids, and True where the last column is the token's place.

    Args:
        model: of the code.
        columns: see EntropyModel.
        row_length: of a grid with its border.
        plane: numbers between the codes of one position.
    """
    distances = []
    for column in columns:
        before = column - len(NEIGHBOURS)
        if before < 0:
            y, x = NEIGHBOURS[column]
            distances.append(y * row_length + x)
        elif before < model.known:
            distances.append(-(before + 1) * plane)
    return distances, len(distances) < len(columns)


CODERS: dict[str, Callable[[EntropyModel, int, int], GridCoder]] = {
    "table": TablesCoder,
    "context": ContextCoder,
    "compact": CompactCoder,
}
