"""Coder of the chosen positions of token grids: their places, then their codes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seit_cl.data.patches import PatchChoice
from seit_cl.formats._fixed_coder import MISSING, FixedCoder
from seit_cl.formats._packing import pack, packed_bytes, unpack
from seit_cl.formats._records import Records


class PatchCoder:
    """Coder of grids into the places of n positions and their codes.

    A record begins with a bit for each position of the grid, row by row and lowest bit first, set
    for the n that are kept; not where all grids keep the same ones. Their codes follow in the same
    order, as `FixedCoder` writes a grid of n positions, so that records can be cut by levels.

    Args:
        codes: codebook size K.
        grid: (G, H, W).
        choice: of the positions.

    Attributes:
        grid_shape: (G, H, W).
        length: bytes of a whole record.
        levels: G; 1 where a level has less than a byte.
    """

    def __init__(self, codes: int, grid: tuple[int, int, int], choice: PatchChoice) -> None:
        self.grid_shape: tuple[int, ...] = grid
        self.choice = choice
        self._fixed = FixedCoder(codes, (grid[0], 1, choice.count))
        self._place_bytes = 0 if choice.is_fixed else packed_bytes(choice.positions, 1)
        self.length = self._place_bytes + self._fixed.length
        self.levels = self._fixed.levels

    def encode(self, tokens: Tensor) -> Records:
        """Encode grids (B, G, H, W) into records of equal length."""
        kept = self.choice.to(tokens.device)(tokens)  # (B, n)
        groups = tokens.shape[1]
        chosen = tokens.flatten(2).gather(2, kept[:, None].expand(-1, groups, -1))
        rows = pack(chosen.flatten(1), self._fixed.bits)
        if self._place_bytes:
            places = tokens.new_zeros((len(tokens), self.choice.positions)).scatter_(1, kept, 1)
            rows = torch.cat([pack(places, 1), rows], dim=1)
        return Records.from_rows(rows)

    def decode(self, records: Records) -> Tensor:
        """Grids (B, G, H, W) int16 of records; MISSING at other positions and in cut levels."""
        offsets = records.offsets + self._place_bytes
        lengths = records.lengths - self._place_bytes
        codes = self._fixed.decode(Records(records.data, offsets, lengths))
        groups = self.grid_shape[0]
        codes = codes.view(len(records), groups, self.choice.count)
        shape = (len(records), groups, self.choice.positions)
        tokens = torch.full(shape, MISSING, dtype=torch.int16, device=codes.device)
        places = self._places(records)[:, None].expand(-1, groups, -1)
        return tokens.scatter_(2, places, codes).view(len(records), *self.grid_shape)

    def level_ends(self, length: int) -> Sequence[int]:
        """Bytes of a record of `length` bytes cut to 1, 2, ... levels.

        Raises:
            ValueError: no record has this length.
        """
        ends = self._fixed.level_ends(length - self._place_bytes)
        return tuple(self._place_bytes + end for end in ends)

    def cut(self, record: NDArray[np.uint8], levels: int) -> NDArray[np.uint8]:
        """Return the record of the first levels."""
        codes = self._fixed.cut(record[self._place_bytes :], levels)
        return np.concatenate([record[: self._place_bytes], codes])

    def _places(self, records: Records) -> Tensor:
        """The kept positions (B, n) of records, rising."""
        if not self._place_bytes:
            return self.choice.fixed(records.data.device).expand(len(records), -1)
        bytes_of_places = torch.arange(self._place_bytes, device=records.data.device)
        rows = records.data[records.offsets[:, None] + bytes_of_places]
        is_kept = unpack(rows, 1, self.choice.positions)
        # Set bits first, each part in order: n of them, where a record is one of this format.
        order = is_kept.argsort(dim=1, descending=True, stable=True)
        return order[:, : self.choice.count]
