"""Processes of one thread each that tokenize parts of a data set on a CPU."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from seit_cl.tokenizers import Tokenizer, open_tokenizer


class Writable(Protocol):
    """What a worker does (seit_cl.tokenizers.commands.encode.Part)."""

    def write(self, encode: Callable[[Tensor], Tensor], threads: int | None = None) -> int:
        """Encode and write; gives the number of images."""


_tokenizer: list[Tokenizer] = []  # this process's


def encode_in_processes(
    parts: Sequence[Writable], spec: str, workers: int, more: Callable[[int], None]
) -> None:
    """Write parts in so many processes, each of which opens the tokenizer of a spec once; `more` gets the images of each part."""
    context = multiprocessing.get_context("spawn")  # a fork of a process with threads may hang
    with context.Pool(workers, _start, (spec,)) as pool:
        for images in pool.imap_unordered(_write, parts):
            more(images)


def _start(spec: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends the pool
    torch.set_num_threads(1)
    _tokenizer[:] = [open_tokenizer(spec)]


def _write(part: Writable) -> int:
    return part.write(_tokenizer[0].encode, threads=1)
