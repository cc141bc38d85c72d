"""Speed of tokenizing image files: decoding beside the encoder against decoding before it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.measure import Spread, finish, interleave, round_ratios
from seit_cl.data.images import load_images
from seit_cl.tokenizers import open_tokenizer
from seit_cl.tokenizers._encoding import CHUNK, Encoder, encode_files


@dataclass(frozen=True)
class Tokenizing:
    """Measured speeds in images per second.

    Args:
        files: describes the files.
        decoding: of files to images on the CPU.
        encoding: of images on the CPU to tokens on the CPU.
        one_after_the_other: of a loop that decodes a chunk and then encodes it.
        overlapped: of `encode_files`.
        gain: the last over the one before it.
        waiting: fraction of the time of `encode_files` outside encoding.
    """

    files: str
    decoding: Spread
    encoding: Spread
    one_after_the_other: Spread
    overlapped: Spread
    gain: Spread
    waiting: float


class TimedTokenizer:
    """A tokenizer that adds up the seconds of encoding.

    Args:
        tokenizer: encodes.
    """

    def __init__(self, tokenizer: Encoder) -> None:
        self.tokenizer = tokenizer
        self.codebook = tokenizer.codebook
        self.seconds = 0.0

    def encode(self, images: Tensor) -> Tensor:
        """Encode images and wait for the device."""
        started = time.perf_counter()
        tokens = self.tokenizer.encode(images)
        finish(self.codebook.device)
        self.seconds += time.perf_counter() - started
        return tokens


def speeds(seconds: Mapping[str, Sequence[float]], images: int) -> dict[str, Spread]:
    """Images per second, by name, of calls that took some seconds for a number of images."""
    found: dict[str, Spread] = {}
    for name, times in seconds.items():
        found[name] = Spread.of([images / second for second in times])
    return found


def one_after_the_other(
    paths: Sequence[Path], tokenizer: Encoder, side: int, chunk: int
) -> list[Tensor]:
    """Decode a chunk of files in threads, then encode it, and so on."""
    parts = []
    for start in range(0, len(paths), chunk):
        images = load_images(paths[start : start + chunk], side)
        parts.append(tokenizer.encode(images))
    return parts


def encode_ready(images: Sequence[Tensor], tokenizer: Encoder) -> list[Tensor]:
    """Encode chunks of images that are decoded already."""
    return [tokenizer.encode(chunk) for chunk in images]


def measure_tokenizing(
    paths: Sequence[Path], side: int, device: torch.device, rounds: int
) -> Tokenizing:
    """Time decoding and encoding of files, alone and together.

    Args:
        paths: N image files, cut into at least four chunks.
        side: in pixels that images are resized to.
        device: of the bundled tokenizer.
        rounds: interleaved rounds of measurement.
    """
    tokenizer = open_tokenizer().to(device)
    chunk = min(CHUNK, max(1, len(paths) // 4))
    images = load_images(paths, side).split(chunk)
    overlapped = partial(encode_files, paths, tokenizer, side, chunk=chunk)
    calls: dict[str, Callable[[], object]] = {
        "decoding": partial(load_images, paths, side),
        "encoding": partial(encode_ready, images, tokenizer),
        "one after the other": partial(one_after_the_other, paths, tokenizer, side, chunk),
        "overlapped": overlapped,
    }
    seconds = interleave(calls, rounds, 0, device)
    found = speeds(seconds, len(paths))
    return Tokenizing(
        files=f"{len(paths):,} at {side} px, {chunk} at a time",
        decoding=found["decoding"],
        encoding=found["encoding"],
        one_after_the_other=found["one after the other"],
        overlapped=found["overlapped"],
        gain=round_ratios(seconds["one after the other"], seconds["overlapped"]),
        waiting=waiting(paths, tokenizer, side, chunk),
    )


def waiting(paths: Sequence[Path], tokenizer: Encoder, side: int, chunk: int) -> float:
    """Measure the fraction of the time of `encode_files` outside encoding."""
    timed = TimedTokenizer(tokenizer)
    started = time.perf_counter()
    encode_files(paths, timed, side, chunk=chunk)
    return 1 - timed.seconds / (time.perf_counter() - started)
