"""Unsigned LEB128 integers: seven bits a byte, lowest first, with a flag on all but the last."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_MORE = 128  # flag of a byte that another one follows


def varint_bytes(value: int) -> int:
    """Count the bytes of a non-negative integer."""
    return max(1, (value.bit_length() + 6) // 7)


def write_varints(values: NDArray[np.int64]) -> bytes:
    """Encode non-negative integers (N,)."""
    encoded = bytearray()
    for value in values.tolist():
        while value >= _MORE:
            encoded.append(value % _MORE | _MORE)
            value >>= 7
        encoded.append(value)
    return bytes(encoded)


def read_varints(data: NDArray[np.uint8], count: int) -> tuple[NDArray[np.int64], int]:
    """Decode integers from the start of `data`.

    Args:
        data: bytes (L,).
        count: number of integers N.

    Returns:
        The integers (N,), and the bytes that they take.

    Raises:
        ValueError: the data ends too early.
    """
    ends = np.flatnonzero(data[: 10 * count] < _MORE)[:count]
    if len(ends) < count:
        raise ValueError("record lengths are cut off")
    if count == 0:
        return np.zeros(0, np.int64), 0
    used = int(ends[-1]) + 1
    starts = np.concatenate([[0], ends[:-1] + 1])
    index = np.arange(used) - np.repeat(starts, ends - starts + 1)  # of a byte in its integer
    bits = (data[:used] % _MORE).astype(np.int64)
    return np.add.reduceat(bits << (7 * index), starts), used
