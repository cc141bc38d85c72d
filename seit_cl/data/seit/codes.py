"""Bytes of the codes in a SeiT release (Park et al., ICCV 2023).

A code below 255 is one byte. A code from 255 on is an escape, the byte 255, and the remainder.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

ESCAPE = 255
LARGEST = 2 * ESCAPE - 1  # the release's own reader takes one escape per code


class Decoded(NamedTuple):
    """Codes of a sequence of bytes.

    Args:
        codes: (T,) int16.
        last: (T,) int64, position of the last byte of each code.
        escaped: True if the bytes end in an escape whose remainder comes next.
    """

    codes: np.ndarray
    last: np.ndarray
    escaped: bool


class TwoEscapes(ValueError):
    """An escape directly after an escape.

    Args:
        position: position of the second one in the bytes.
    """

    def __init__(self, position: int) -> None:
        super().__init__(position)
        self.position = position


def to_bytes(tokens: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Write token grids in the release's bytes.

    Codes above LARGEST take several escapes, which the release's own reader does not support; they
    serve comparisons of sizes.

    Args:
        tokens: (B, G, H, W).

    Returns:
        Bytes of all images, uint8; and offsets (B + 1,) int64, the start of each image and the end
        of the last.
    """
    codes = tokens.flatten(1).numpy()
    ends = np.cumsum(codes.astype(np.int64).ravel() // ESCAPE + 1)
    data = np.full(int(ends[-1]) if len(ends) else 0, ESCAPE, dtype=np.uint8)
    data[ends - 1] = (codes % ESCAPE).ravel()
    image_ends = ends[codes.shape[1] - 1 :: codes.shape[1]]
    return data, np.concatenate([[0], image_ends]).astype(np.int64)


def decode(data: np.ndarray, escaped: bool = False) -> Decoded:
    """Decode bytes without a Python loop.

    Fastest on about 2**18 bytes, which stay in a core's cache.

    Args:
        data: uint8, any part of a stream.
        escaped: True if the preceding bytes end in an escape.

    Raises:
        TwoEscapes: with the position of the second escape.
    """
    if len(data) == 0:
        return Decoded(np.empty(0, np.int16), np.empty(0, np.int64), escaped)
    escapes = data == ESCAPE
    if (escaped and escapes[0]) or (escapes[1:] & escapes[:-1]).any():
        second = escapes & np.concatenate([[escaped], escapes[:-1]])
        raise TwoEscapes(int(second.argmax()))
    codes = np.empty(len(data), np.int16)
    codes[0] = int(data[0]) + ESCAPE * escaped
    # The negative of a uint8 1 is 255, which is added after an escape.
    after_escape = np.negative(escapes[:-1].view(np.uint8))
    np.add(data[1:], after_escape, out=codes[1:], dtype=np.int16, casting="unsafe")
    last = np.flatnonzero(~escapes)
    return Decoded(np.take(codes, last, mode="clip"), last, bool(escapes[-1]))


def from_bytes(data: bytes) -> Tensor:
    """Decode all codes (T,) int16 of some bytes.

    Raises:
        TwoEscapes: with the position of the second escape.
    """
    return torch.from_numpy(decode(np.frombuffer(data, np.uint8)).codes)
