"""Integers in range-coded messages, by tables of cumulative frequencies as CompressAI stores them.

A row of a table has an interval for each of its integers, the next one larger by 1, and a last
interval, the escape, for all integers outside. What is outside follows at the end of a message in
three bytes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from seit_cl.formats.entropy.range_coder import BITS, TOTAL, Decoder

TABLE_BITS = 16  # precision of the tables
LARGEST = 1 << 22  # of an integer's absolute value
_BYTES = 3  # of an escaped integer
_BYTE_WIDTH = TOTAL >> 8  # of the interval of a byte's value


class SymbolTables:
    """Intervals of integers.

    Args:
        cumulative: (T, L) int32, each row from 0 to 2**16 over its first `lengths` entries.
        lengths: (T,) int32, 2..L.
        first: (T,) int32, the smallest integer of each row.

    Raises:
        ValueError: a table that is none.
    """

    def __init__(self, cumulative: Tensor, lengths: Tensor, first: Tensor) -> None:
        _check(cumulative, lengths, first)
        self.first = first.long()
        self.escape = lengths.long() - 2  # the number of the last interval, in each row
        starts = cumulative.long() << (BITS - TABLE_BITS)
        inside = torch.arange(starts.shape[1]) < lengths[:, None]
        self.starts = torch.where(inside, starts, TOTAL)
        # Starts of all rows in one ascending sequence, for a single search.
        row_keys = self.starts + torch.arange(len(starts))[:, None] * (TOTAL + 1)
        self._keys = row_keys.flatten()

    def clamp(self, values: Tensor, rows: Tensor) -> Tensor:
        """Bring integers (P,) within those of their rows (P,)."""
        lowest = self.first[rows]
        highest = torch.maximum(lowest + self.escape[rows] - 1, lowest)
        return torch.minimum(torch.maximum(values, lowest), highest)

    def intervals(self, values: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Starts and widths of integers, and of those outside of their rows, as a message has them.

        Args:
            values: (P,) int64, at most LARGEST in absolute value.
            rows: (P,) int64.

        Returns:
            Both (P + 3 E,) int64, where E integers are escaped.
        """
        places = values - self.first[rows]
        escape = self.escape[rows]
        outside = (places < 0) | (places >= escape)
        symbols = torch.where(outside, escape, places)
        starts = self.starts[rows, symbols]
        widths = self.starts[rows, symbols + 1] - starts
        # Integers below a row have odd numbers, those above it even ones.
        numbers = torch.where(places < 0, -2 * places - 1, 2 * (places - escape))[outside]
        parts = [(numbers >> 8 * place) & 255 for place in reversed(range(_BYTES))]
        byte_starts = torch.stack(parts, 1).flatten() * _BYTE_WIDTH
        byte_widths = torch.full_like(byte_starts, _BYTE_WIDTH)
        return torch.cat([starts, byte_starts]), torch.cat([widths, byte_widths])

    def read(self, decoder: Decoder, rows: Tensor) -> Tensor:
        """Numbers (B, P) of the next P intervals of B messages, whose rows are (B, P)."""
        symbols = torch.zeros_like(rows)
        for place, row in enumerate(rows.T):
            keys = decoder.peek() + row * (TOTAL + 1)
            found = torch.searchsorted(self._keys, keys, right=True) - 1
            symbol = found - row * self.starts.shape[1]
            start = self.starts[row, symbol]
            decoder.take(start, self.starts[row, symbol + 1] - start)
            symbols[:, place] = symbol
        return symbols

    def values(self, symbols: Tensor, rows: Tensor) -> Tensor:
        """Integers (B, P) of numbers of intervals, where nothing is escaped."""
        return symbols + self.first[rows]

    def values_at_end(self, decoder: Decoder, symbols: Tensor, rows: Tensor) -> Tensor:
        """Integers (B, P) of numbers of intervals; escaped ones are read at the messages' ends."""
        values = self.values(symbols, rows)
        escaped = symbols == self.escape[rows]
        order = escaped.cumsum(1)
        for count in range(1, int(order.max()) + 1 if order.numel() else 1):
            is_next = escaped & (order == count)
            number = _read_number(decoder, is_next.any(1))[:, None]
            below = self.first[rows] - (number + 1) // 2
            above = values + number // 2
            values = torch.where(is_next, torch.where(number % 2 == 1, below, above), values)
        return values


def _read_number(decoder: Decoder, present: Tensor) -> Tensor:
    """Read three bytes as a number (B,) from each message where it is present (B,)."""
    number = torch.zeros_like(present, dtype=torch.int64)
    for _ in range(_BYTES):
        byte = decoder.peek() // _BYTE_WIDTH
        start = torch.where(present, byte * _BYTE_WIDTH, 0)
        width = torch.where(present, _BYTE_WIDTH, TOTAL)
        decoder.take(start, width)
        number = number << 8 | byte
    return number


def _check(cumulative: Tensor, lengths: Tensor, first: Tensor) -> None:
    """Check what a file has for tables.

    Raises:
        ValueError: telling what is wrong.
    """
    if any(part.dtype != torch.int32 for part in (cumulative, lengths, first)):
        raise ValueError("tables that are not int32")
    rows, longest = cumulative.shape
    if rows == 0 or longest < 2 or int(lengths.min()) < 2 or int(lengths.max()) > longest:
        raise ValueError("tables of impossible lengths")
    if int(first.long().abs().max()) + longest >= LARGEST:
        raise ValueError("tables of integers that are too large")
    steps = cumulative.long().diff(dim=1)
    inside = torch.arange(1, longest) < lengths[:, None]
    last = cumulative.gather(1, lengths.long()[:, None] - 1)
    rises = bool((steps > 0)[inside].all())
    if not rises or bool((cumulative[:, 0] != 0).any()) or bool((last != 1 << TABLE_BITS).any()):
        raise ValueError("tables that do not rise from 0 to 65536")
