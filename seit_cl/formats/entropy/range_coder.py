"""Range coder (Martin, 1979) for many short messages at once, one message per exemplar.

A message is a sequence of symbols. Its model gives each symbol an interval [start, start + width)
of 0..TOTAL-1. All arithmetic is on integers, so it is the same on every machine and device.

A message ends with the shortest bytes that lie in its last interval when zeros follow, and zero
bytes at its end are left out: it costs its information rounded up to bytes, hardly more. Its length
is stored elsewhere. Asymmetric numeral systems are as fast, but would cost 1.6 bytes more per
message: their state starts with as many bits as probabilities have.
"""

from __future__ import annotations

import torch
from torch import Tensor

from seit_cl.formats._records import Records

BITS = 20  # precision of probabilities
TOTAL = 1 << BITS  # sum of the widths of all symbols of a model
# Before each symbol, a range is at least 2**40 and at most 2**48.
_RANGE_BITS = 48
_MIN_RANGE_BITS = 40
_LOW_MASK = (1 << _RANGE_BITS) - 1
_BYTES_READ = 3  # by the decoder at once


def encode(starts: Tensor, widths: Tensor) -> Records:
    """Encode messages of P symbols each.

    Args:
        starts: (B, P) int64, start of each symbol's interval in 0..TOTAL-1.
        widths: (B, P) int64, its width, at least 1.

    Returns:
        One record per message, without its length.
    """
    count, positions = starts.shape
    # A symbol takes at most three bytes, and a write reaches two further. Digit 0 takes carries.
    digits = starts.new_zeros((count, 3 * positions + 4))
    ends = starts.new_ones(count)  # index of each message's next digit
    low = torch.zeros_like(ends)
    span = torch.full_like(ends, 1 << _RANGE_BITS)
    offsets = torch.arange(3, device=starts.device)
    for start, width in zip(starts.T, widths.T, strict=True):
        unit = span >> BITS
        low = low + unit * start
        span = unit * width
        shifted = _missing_bytes(span)
        # The first digit may exceed 255; `_finish` carries. Digits past `shifted` are overwritten.
        top = torch.stack([low >> _MIN_RANGE_BITS, low >> 32 & 255, low >> 24 & 255], 1)
        digits.scatter_(1, ends[:, None] + offsets, top)
        ends = ends + shifted
        low = _drop_top_bytes(low, shifted) << 8 * shifted
        span = span << 8 * shifted
    digits.scatter_(1, ends[:, None] + offsets, torch.zeros_like(digits[:, :3]))
    return _finish(digits, ends, low, span)


def _drop_top_bytes(low: Tensor, count: Tensor) -> Tensor:
    """Remove the `count` (B,) highest bytes, which have been written, from low (B,)."""
    return torch.where(count > 0, low & (_LOW_MASK >> 8 * count), low)


def _missing_bytes(span: Tensor) -> Tensor:
    """Bytes (B,) by which ranges (B,) must be widened to reach 2**40."""
    return (span < 1 << 40).long() + (span < 1 << 32) + (span < 1 << 24)


def _finish(digits: Tensor, ends: Tensor, low: Tensor, span: Tensor) -> Records:
    """Write the last digit of each message, resolve carries, and drop zeros at the ends.

    Args:
        digits: (B, L) int64, written so far, followed by zeros.
        ends: (B,) int64, index of the next digit.
        low, span: (B,) int64, the last intervals. As span is at least 2**40, each interval holds a
            number that ends after one more digit, or after none.
    """
    carry = low >> _RANGE_BITS
    low = low & _LOW_MASK
    # Where the interval reaches beyond the carry, the carry alone lies in it. Where low is 0, no
    # digit is needed either.
    overflows = low + span > 1 << _RANGE_BITS
    carry = carry + (overflows & (low > 0))
    rounded_up = low + (1 << _MIN_RANGE_BITS) - 1 >> _MIN_RANGE_BITS
    last = torch.where(overflows | (low == 0), 0, rounded_up)
    digits.scatter_add_(1, (ends - 1)[:, None], carry[:, None])
    digits.scatter_add_(1, ends[:, None], last[:, None])
    for i in range(digits.shape[1] - 1, 0, -1):
        digits[:, i - 1] += digits[:, i] >> 8
        digits[:, i] &= 255
    digits = digits[:, 1:]  # a message is less than 1, so nothing is carried into digit 0
    return _without_final_zeros(digits)


def _without_final_zeros(digits: Tensor) -> Records:
    """Records of bytes (B, L) int64, each up to its last byte that is not zero."""
    places = torch.arange(1, digits.shape[1] + 1, device=digits.device)
    lengths = torch.where(digits > 0, places, 0).amax(1)
    data = digits[places - 1 < lengths[:, None]].to(torch.uint8)
    return Records(data, lengths.cumsum(0) - lengths, lengths)


class Decoder:
    """Decodes messages symbol by symbol, all of them at once.

    Args:
        records: messages (B,) that `encode` wrote.
    """

    def __init__(self, records: Records) -> None:
        device = records.data.device
        longest = int(records.lengths.max()) if len(records) else 0
        # One row per message, followed by zeros, where the place of a finished message stays.
        places = torch.arange(longest + _BYTES_READ, device=device)
        inside = places < records.lengths[:, None]
        data = torch.cat([records.data, records.data.new_zeros(1)])
        values = data[torch.where(inside, records.offsets[:, None] + places, 0)]
        self._data = torch.where(inside, values, 0).flatten().long()
        self._place = torch.arange(len(records), device=device) * len(places)
        self._end = self._place + longest
        self._offsets = torch.arange(_BYTES_READ, device=device)
        self._powers = 1 << 8 * self._offsets.flip(0)
        self._value = self._next_bytes() << 24
        self._advance(_BYTES_READ)
        self._value = self._value | self._next_bytes()
        self._advance(_BYTES_READ)
        self._span = torch.full_like(self._place, 1 << _RANGE_BITS)
        self._unit = self._span >> BITS

    def _next_bytes(self) -> Tensor:
        """The next three bytes of each message (B,), as one number."""
        return (self._data[self._place[:, None] + self._offsets] * self._powers).sum(1)

    def _advance(self, count: Tensor | int) -> None:
        """Move the place of each message forward, at most to its end."""
        self._place = torch.minimum(self._place + count, self._end)

    def peek(self) -> Tensor:
        """Values (B,) in 0..TOTAL-1, each in the interval of its message's next symbol."""
        self._unit = self._span >> BITS
        return (self._value // self._unit).clamp_max(TOTAL - 1)

    def take(self, start: Tensor, width: Tensor) -> None:
        """Go past the symbols whose intervals have these starts and widths (B,), after `peek`."""
        self._value = self._value - self._unit * start
        self._span = self._unit * width
        count = _missing_bytes(self._span)
        shift = 8 * count
        self._value = self._value << shift | self._next_bytes() >> 24 - shift
        self._span = self._span << shift
        self._advance(count)
