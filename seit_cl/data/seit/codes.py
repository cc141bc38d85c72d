"""The bytes of the SeiT release (Park et al., ICCV 2023): a code from 255 on is the byte 255, then what is left of it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

ESCAPE = 255
LARGEST = 2 * ESCAPE - 1  # the release's own reader takes one escape a code


class Decoded(NamedTuple):
    """Codes of some bytes.

    Args:
        codes: (T,) int16.
        last: (T,) int64, where in the bytes the last byte of each code is.
        escaped: whether the bytes end in an escape whose rest comes next.
    """

    codes: np.ndarray
    last: np.ndarray
    escaped: bool


class TwoEscapes(ValueError):
    """An escape after an escape.

    Args:
        at: where in the bytes.
    """

    def __init__(self, at: int) -> None:
        super().__init__(at)
        self.at = at


def to_bytes(tokens: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Token grids (B, G, H, W) in the release's bytes. Codes above LARGEST have more than one escape, which its own reader
    does not understand; here it serves comparison of sizes.

    Returns:
        Bytes of all images, uint8, and where each starts and the last ends, (B + 1,) int64.
    """
    codes = tokens.flatten(1).numpy()
    ends = np.cumsum(codes.astype(np.int64).ravel() // ESCAPE + 1)
    data = np.full(int(ends[-1]) if len(ends) else 0, ESCAPE, dtype=np.uint8)
    data[ends - 1] = (codes % ESCAPE).ravel()
    return data, np.concatenate([[0], ends[codes.shape[1] - 1 :: codes.shape[1]]]).astype(np.int64)


def decode(data: np.ndarray, escaped: bool = False) -> Decoded:
    """Codes of bytes, with no Python for each of them. Fastest on some 2**18 bytes, which stay in a core's cache.

    Args:
        data: uint8, from anywhere in a stream.
        escaped: whether the bytes before it ended in an escape.

    Raises:
        TwoEscapes: naming the place of the second.
    """
    if len(data) == 0:
        return Decoded(np.empty(0, np.int16), np.empty(0, np.int64), escaped)
    escapes = data == ESCAPE
    if (escaped and escapes[0]) or (escapes[1:] & escapes[:-1]).any():
        both = escapes & np.concatenate([[escaped], escapes[:-1]])
        raise TwoEscapes(int(both.argmax()))
    codes = np.empty(len(data), np.int16)
    codes[0] = int(data[0]) + ESCAPE * escaped
    np.add(
        data[1:],
        np.negative(escapes[:-1].view(np.uint8)),
        out=codes[1:],
        dtype=np.int16,
        casting="unsafe",
    )
    last = np.flatnonzero(~escapes)
    return Decoded(np.take(codes, last, mode="clip"), last, bool(escapes[-1]))


def from_bytes(data: bytes) -> Tensor:
    """All codes (T,) int16 of bytes.

    Raises:
        TwoEscapes: naming the place of the second.
    """
    return torch.from_numpy(decode(np.frombuffer(data, np.uint8)).codes)
