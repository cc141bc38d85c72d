"""Encoding of stored images, and the image sides that a tokenizer accepts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from seit_cl.core.devices import to_device
from seit_cl.core.errors import UserError
from seit_cl.data.images import read_chunks
from seit_cl.data.stored import StoredImage

CHUNK = 256  # images tokenized at a time
NO_CODE = -1  # in place of the codes of an image that cannot be decoded


class Encoder(Protocol):
    """The part of a tokenizer that encoding uses (seit_cl/tokenizers/base.py)."""

    codebook: Tensor

    def encode(self, images: Tensor) -> Tensor:
        """Encode images (B, 3, S, S) uint8 to tokens (B, G, H, W) int16, on their device."""


def encode_files(
    stored: Sequence[StoredImage | Path],
    tokenizer: Encoder,
    resolution: int,
    advance: Callable[[int], None] = lambda images: None,
    chunk: int = CHUNK,
    threads: int | None = None,
    skip_bad: bool = False,
) -> Tensor:
    """Tokenize stored images; threads decode the next chunks while the tokenizer encodes one.

    Args:
        stored: N stored images or paths of image files, at least one.
        tokenizer: encodes them on its device.
        resolution: side S in pixels that images are resized to.
        advance: called after each chunk with its number of images.
        chunk: number of images that are tokenized at a time, as in `read_chunks`.
        threads: number of decoding threads; None: one per core that this process may use.
        skip_bad: give images that cannot be decoded the codes NO_CODE, see `readable_rows`.

    Returns:
        (N, G, H, W) int16 on the CPU.

    Raises:
        BadImage: an image cannot be decoded.
        UserError: the stride does not divide the side.
    """
    bad: list[int] | None = [] if skip_bad else None
    all_tokens = _Collected(len(stored))
    for tokens in encode_chunks(stored, tokenizer, resolution, chunk, threads, bad):
        all_tokens.add(tokens)
        advance(len(tokens))
    if bad:
        all_tokens.tokens[bad] = NO_CODE
    return all_tokens.tokens


def encode_chunks(
    stored: Sequence[StoredImage | Path],
    tokenizer: Encoder,
    resolution: int,
    chunk: int = CHUNK,
    threads: int | None = None,
    bad: list[int] | None = None,
) -> Iterator[Tensor]:
    """Tokenize stored images as `encode_files` does, chunk by chunk.

    Args:
        stored, tokenizer, resolution, chunk, threads: as there.
        bad: as in `read_chunks`.

    Returns:
        Tokens (n, G, H, W) int16 on the CPU.
    """
    device = tokenizer.codebook.device
    pinned = device.type == "cuda"
    queued: Tensor | None = None  # tokens that a GPU may still be computing
    for images in read_chunks(stored, resolution, chunk, threads, pinned, bad):
        tokens = tokenizer.encode(to_device(images, device))
        if queued is not None:
            yield queued.cpu()
        queued = tokens
    if queued is not None:
        yield queued.cpu()


class _Collected:
    """Tokens of all images, of which there is one copy.

    Args:
        count: number of images N.

    Attributes:
        tokens: (N, G, H, W) int16, empty before the first are added.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._done = 0
        self.tokens = torch.empty(0, dtype=torch.int16)

    def add(self, tokens: Tensor) -> None:
        """Add the tokens (n, G, H, W) of the next images."""
        if self._done == 0:
            self.tokens = tokens.new_empty((self._count, *tokens.shape[1:]))
        self.tokens[self._done : self._done + len(tokens)] = tokens
        self._done += len(tokens)


def readable_rows(tokens: Tensor) -> Tensor:
    """The rows (n,) int64 of tokens (N, G, H, W) whose images could be decoded."""
    return (tokens[:, 0, 0, 0] != NO_CODE).nonzero()[:, 0]


def check_resolution(side: int, stride: int, option: str = "--resolution") -> None:
    """Refuse an image side in pixels that is not a multiple of a tokenizer's stride.

    Raises:
        UserError: naming the option.
    """
    if side < stride or side % stride:
        raise UserError(f"{option} {side}: must be a multiple of {stride}")
