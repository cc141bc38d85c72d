"""A range coder (Martin, 1979) for many short messages at once: one message an exemplar, all of them in step.

A message is a sequence of symbols, each with an interval [start, start + width) of 0..TOTAL-1 that its model gave it. All
arithmetic is on integers, the same on every machine and device. A message ends with the shortest bytes that lie in its last
interval when zeros follow, and sheds zeros at its end: it costs its information rounded up to bytes, hardly more. Its length
is kept outside. (Asymmetric numeral systems, as fast, cost 1.6 bytes more a message here: their state starts with as many bits
as probabilities have.)
"""

from __future__ import annotations

import torch
from torch import Tensor

from seit_cl.formats._records import Records

BITS = 20
TOTAL = 1 << BITS  # a symbol's widths sum to this
_AHEAD = 3  # bytes that are looked at together
_WIDE, _NARROW = (
    48,
    40,
)  # bits: a range is brought back to at least 2**40 before each symbol, and stays below 2**48


def encode(starts: Tensor, widths: Tensor) -> Records:
    """Messages of P symbols each as records.

    Args:
        starts: (B, P) int64, each symbol's interval's start in 0..TOTAL-1.
        widths: (B, P) int64, its width, at least 1.
    """
    count, positions = starts.shape
    # A symbol takes at most three bytes and a write reaches two beyond; the first digit is there for carries.
    digits = starts.new_zeros((count, 3 * positions + 4))
    at = torch.ones_like(starts[:, 0]) if positions else starts.new_ones(count)
    low, span = torch.zeros_like(at), torch.full_like(at, 1 << _WIDE)
    ahead = torch.arange(3, device=starts.device)
    for start, width in zip(starts.T, widths.T, strict=True):
        unit = span >> BITS
        low, span = low + unit * start, unit * width
        gone = _bytes_short(span)
        # A digit may be 256 or more: what it carries is added at the end. Digits beyond `gone` are written over later.
        whole = torch.stack([low >> _NARROW, low >> 32 & 255, low >> 24 & 255], 1)
        digits.scatter_(1, at[:, None] + ahead, whole)
        at = at + gone
        low, span = _shift(low, gone), span << 8 * gone
    digits.scatter_(1, at[:, None] + ahead, torch.zeros_like(digits[:, :3]))
    return _finish(digits, at, low, span)


def _shift(low: Tensor, gone: Tensor) -> Tensor:
    """The rest of low (B,) after its first `gone` (B,) bytes went out."""
    kept = torch.where(gone > 0, low & ((1 << _WIDE) - 1 >> 8 * gone), low)
    return kept << 8 * gone


def _bytes_short(span: Tensor) -> Tensor:
    """Bytes (B,) by which ranges (B,) are to be widened."""
    return (span < 1 << 40).long() + (span < 1 << 32) + (span < 1 << 24)


def _finish(digits: Tensor, at: Tensor, low: Tensor, span: Tensor) -> Records:
    """Close the messages, settle the carries, and drop zeros at the ends.

    Args:
        digits: (B, L), what went out so far, zeros behind; at: (B,) where the next digit goes.
        low, span: (B,) the last intervals, 2**40 wide or more: one byte more, or none, lies in each.
    """
    carried, low = low >> _WIDE, low & (1 << _WIDE) - 1
    over = (
        low + span > 1 << _WIDE
    )  # then a carry alone lies in the interval, as nothing does where low is 0
    carried = carried + (over & (low > 0))
    last = torch.where(over | (low == 0), 0, low + (1 << _NARROW) - 1 >> _NARROW)
    digits.scatter_add_(1, (at - 1)[:, None], carried[:, None])
    digits.scatter_add_(1, at[:, None], last[:, None])
    for i in range(digits.shape[1] - 1, 0, -1):
        digits[:, i - 1] += digits[:, i] >> 8
        digits[:, i] &= 255
    digits = digits[:, 1:]  # a message is less than one: nothing carries into the first digit
    places = torch.arange(1, digits.shape[1] + 1, device=digits.device)
    lengths = (
        torch.where(digits > 0, places, 0).amax(1) if digits.shape[1] else at.new_zeros(len(digits))
    )
    kept = digits[places - 1 < lengths[:, None]].to(torch.uint8)
    return Records(kept, lengths.cumsum(0) - lengths, lengths)


class Decoder:
    """Reads messages symbol by symbol, all of them in step.

    Args:
        records: what `encode` made.
    """

    def __init__(self, records: Records) -> None:
        device, longest = records.data.device, int(records.lengths.max()) if len(records) else 0
        # Each message in a row of its own with zeros behind, where those rest who are through.
        places = torch.arange(longest + _AHEAD, device=device)
        inside = places < records.lengths[:, None]
        data = torch.cat([records.data, records.data.new_zeros(1)])
        found = data[torch.where(inside, records.offsets[:, None] + places, 0)]
        self._data = torch.where(inside, found, 0).flatten().long()
        self._at = torch.arange(len(records), device=device) * len(places)
        self._end = self._at + longest
        self._ahead = torch.arange(_AHEAD, device=device)
        self._powers = 1 << 8 * self._ahead.flip(0)
        self._value = self._word() << 24
        self._at = torch.minimum(self._at + 3, self._end)
        self._value = self._value | self._word()
        self._at = torch.minimum(self._at + 3, self._end)
        self._span = torch.full_like(self._at, 1 << _WIDE)
        self._unit = self._span >> BITS

    def _word(self) -> Tensor:
        """The next three bytes (B,)."""
        return (self._data[self._at[:, None] + self._ahead] * self._powers).sum(1)

    def peek(self) -> Tensor:
        """Values (B,) in 0..TOTAL-1, each within the interval of its message's next symbol."""
        self._unit = self._span >> BITS
        return (self._value // self._unit).clamp_max(TOTAL - 1)

    def take(self, start: Tensor, width: Tensor) -> None:
        """Go past the symbols with these intervals, (B,) each, after `peek`."""
        self._value = self._value - self._unit * start
        self._span = self._unit * width
        gone = _bytes_short(self._span)
        shift = 8 * gone
        self._value = self._value << shift | self._word() >> 24 - shift
        self._span = self._span << shift
        self._at = torch.minimum(self._at + gone, self._end)
