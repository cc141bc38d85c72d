"""Coder of token grids with a fixed number of bits a code, whose records can be cut by levels."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seit_cl.formats._packing import code_bits, pack, packed_bytes, unpack
from seit_cl.formats._records import Records

MISSING = -1  # in the place of the codes of a level that was cut


class FixedCoder:
    """Coder of grids into ceil(G * H * W * ceil(log2 K) / 8) bytes.

    The codes of the first level come first, so that the beginning of a record is the record of its
    first levels, but for bits of the next level in its last byte.

    Args:
        codes: codebook size K.
        grid: (G, H, W); the G codes of a position are its levels.

    Attributes:
        length: bytes of a whole record.
        levels: G; 1 where a level has less than a byte, so that lengths would not tell levels.
    """

    def __init__(self, codes: int, grid: tuple[int, int, int]) -> None:
        self.bits = code_bits(codes)
        self.positions = math.prod(grid)
        self.grid_shape = (self.positions,)
        self.length = packed_bytes(self.positions, self.bits)
        groups, height, width = grid
        self.of_level = height * width
        self.levels = groups if self.of_level * self.bits >= 8 else 1
        # Lengths of records with 1, 2, ... levels.
        self._ends: tuple[int, ...] = (self.length,)
        if self.levels > 1:
            counts = range(1, self.levels + 1)
            self._ends = tuple(packed_bytes(self.of_level * n, self.bits) for n in counts)
        self._ends_of = {end: self._ends[: n + 1] for n, end in enumerate(self._ends)}

    def encode(self, tokens: Tensor) -> Records:
        """Encode codes (B, P) into records of equal length."""
        return Records.from_rows(pack(tokens, self.bits))

    def decode(self, records: Records) -> Tensor:
        """Codes (B, P) int16 of records, MISSING in levels that were cut."""
        if self.levels == 1 or bool((records.lengths == self.length).all()):
            return self._decode_equal(records, self.length, self.positions)
        shape = (len(records), self.positions)
        codes = torch.full(shape, MISSING, dtype=torch.int16, device=records.data.device)
        for levels, length in enumerate(self._ends, 1):
            chosen = (records.lengths == length).nonzero()[:, 0]
            part = Records(records.data, records.offsets[chosen], records.lengths[chosen])
            positions = levels * self.of_level
            codes[chosen, :positions] = self._decode_equal(part, length, positions)
        return codes

    def _decode_equal(self, records: Records, length: int, positions: int) -> Tensor:
        """Codes (B, positions) of records of one length."""
        rows = records.rows() if len(records) else records.data.new_zeros((0, length))
        return unpack(rows, self.bits, positions)

    def level_ends(self, length: int) -> Sequence[int]:
        """Bytes of a record of `length` bytes cut to 1, 2, ... levels.

        Raises:
            ValueError: no record has this length.
        """
        if length not in self._ends_of:
            raise ValueError(f"a record of {length} bytes; {self._ends} are possible")
        return self._ends_of[length]

    def cut(self, record: NDArray[np.uint8], levels: int) -> NDArray[np.uint8]:
        """Return the record of the first levels; bits of its last byte that are left over are 0."""
        if levels == self.levels:
            return record
        shorter = record[: self._ends[levels - 1]].copy()
        used = self.of_level * levels * self.bits % 8
        if used:
            shorter[-1] &= (1 << used) - 1
        return shorter
