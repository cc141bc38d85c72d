"""Parts of a token file: some images each, encoded by any process, and joined into one file.

A part whose file exists is not encoded again, so that an interrupted command resumes.
"""

from __future__ import annotations

import io
import json
import multiprocessing
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seit_cl.core.digests import damaged, has_trailer, with_trailer
from seit_cl.core.errors import UserError
from seit_cl.core.files import make_folder, sweep, write_atomic
from seit_cl.core.limits import MAX_PIXELS
from seit_cl.core.token_shapes import token_shape
from seit_cl.data.base import Dataset
from seit_cl.data.decoding import limit_pixels
from seit_cl.data.folder import leave_out_rows
from seit_cl.data.stored import StoredImage
from seit_cl.data.token_file import TokenSplit, write_token_file
from seit_cl.tokenizers import Tokenizer, open_tokenizer
from seit_cl.tokenizers._encoding import encode_files, readable_rows
from seit_cl.tokenizers.base import describe_tokens

AGAIN = "delete it and start the command again"
PART = 512  # images of a part
CHUNK = 64  # images of a part that are decoded and tokenized at a time
TIMEOUT = 600.0  # seconds without a new part after which rank 0 stops waiting for the others

Advance = Callable[[int], None]  # is called with the number of images encoded since the last call


@dataclass(frozen=True)
class Part:
    """Some images of a split and the file for their tokens.

    Args:
        images: stored images.
        file: .npy file.
        resolution: side S in pixels.
        skip_bad: give images that cannot be decoded no tokens, instead of stopping.
    """

    images: Sequence[StoredImage]
    file: Path
    resolution: int
    skip_bad: bool = False

    def write(self, tokenizer: Tokenizer, threads: int | None = None) -> int:
        """Encode the images and write their tokens (n, G, H, W) int16.

        Args:
            tokenizer: encodes them on its device.
            threads: for decoding; None: all cores.

        Returns:
            The number of images.
        """
        tokens = encode_files(
            self.images,
            tokenizer,
            self.resolution,
            chunk=CHUNK,
            threads=threads,
            skip_bad=self.skip_bad,
        )
        buffer = io.BytesIO()
        np.save(buffer, tokens.numpy(), allow_pickle=False)
        write_atomic(self.file, with_trailer(buffer.getvalue()))
        return len(self.images)


def prepare_parts(
    folder: Path,
    dataset: Dataset,
    tokenizer: Tokenizer,
    resolution: int,
    skip_bad: bool = False,
) -> dict[str, list[Part]]:
    """Make the folder of the parts, or check that an existing one is of the same images and tokens.

    Args:
        folder: holds the parts' files and, in parts.json, what they are of.
        dataset: the images of both splits.
        tokenizer: encodes them.
        resolution: side S in pixels.
        skip_bad: leave out images that cannot be decoded.

    Returns:
        All parts by split, including those whose files exist.

    Raises:
        UserError: the folder belongs to another command, or cannot be written.
    """
    made_of: dict[str, Any] = {
        "images": dataset.manifest,
        "tokenizer": tokenizer.identity,
        "resolution": resolution,
        "part": PART,
    }
    if skip_bad:
        made_of["skip_bad_images"] = True
    description = json.dumps(made_of)
    description_file = folder / "parts.json"
    try:
        make_folder(folder)
        sweep(folder, ours=True)
        if not description_file.exists():
            write_atomic(description_file, description)
        is_same = description_file.read_bytes() == description.encode()
    except OSError as error:
        raise UserError(
            f"{folder}: cannot be written ({error.strerror}); choose another --out"
        ) from error
    if not is_same:
        raise UserError(
            f"{folder}: has parts of other images, another tokenizer or another --resolution; "
            "delete it, or choose another --out"
        )
    return {
        "train": _cut(dataset.train.images, folder, "train", resolution, skip_bad),
        "val": _cut(dataset.val.images, folder, "val", resolution, skip_bad),
    }


def _cut(
    images: Sequence[StoredImage], folder: Path, split: str, resolution: int, skip_bad: bool
) -> list[Part]:
    parts = []
    for start in range(0, len(images), PART):
        file = folder / f"{split}-{start:09d}.npy"
        parts.append(Part(images[start : start + PART], file, resolution, skip_bad))
    return parts


def encode_in_processes(
    parts: Sequence[Part],
    tokenizer_spec: str,
    workers: int,
    advance: Advance,
    max_pixels: int = MAX_PIXELS,
) -> None:
    """Write parts in worker processes of one thread each.

    Args:
        parts: written in any order.
        tokenizer_spec: opened once in every process.
        workers: number of processes.
        advance: called after each part with its number of images.
        max_pixels: pixels above which an image is refused.
    """
    context = multiprocessing.get_context("spawn")  # a fork of a process with threads may hang
    with context.Pool(workers, _start_worker, (tokenizer_spec, max_pixels)) as pool:
        for images in pool.imap_unordered(_write_part, parts):
            advance(images)


_worker_tokenizer: list[Tokenizer] = []  # the tokenizer of this worker process


def _start_worker(tokenizer_spec: str, max_pixels: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent process ends the pool
    torch.set_num_threads(1)
    limit_pixels(max_pixels)
    _worker_tokenizer[:] = [open_tokenizer(tokenizer_spec)]


def _write_part(part: Part) -> int:
    return part.write(_worker_tokenizer[0], threads=1)


def wait_for_parts(parts: Sequence[Part], advance: Advance, timeout: float = TIMEOUT) -> None:
    """Wait until the files of all parts exist.

    Args:
        parts: written by other ranks.
        advance: called with the number of images in the parts that have appeared.
        timeout: seconds without a new part after which waiting ends.

    Raises:
        UserError: no part appeared within the timeout.
    """
    missing = list(parts)
    last_change = time.monotonic()
    while missing:
        unfinished = []
        for part in missing:
            if part.file.exists():
                advance(len(part.images))
            else:
                unfinished.append(part)
        if len(unfinished) < len(missing):
            missing = unfinished
            last_change = time.monotonic()
        elif time.monotonic() - last_change > timeout:
            raise UserError(
                f"{missing[0].file}: not written by its rank within {timeout:g} s; "
                "start the command again to resume"
            )
        else:
            time.sleep(min(0.5, timeout / 10))


def leave_out_bad(dataset: Dataset, parts: dict[str, list[Part]]) -> Dataset:
    """A dataset without the images that could not be decoded, by the tokens of finished parts.

    Raises:
        UserError: a part cannot be read, or a class has no other image.
    """
    bad = []
    for split in ("train", "val"):
        rows: list[int] = []
        start = 0
        for part, tokens in zip(parts[split], _read_parts(parts[split]), strict=True):
            readable = set(readable_rows(tokens).tolist())
            rows += [start + row for row in range(len(tokens)) if row not in readable]
            start += len(part.images)
        bad.append(rows)
    return leave_out_rows(dataset, bad[0], bad[1])


def join_parts(
    out: Path, dataset: Dataset, tokenizer: Tokenizer, resolution: int, parts: dict[str, list[Part]]
) -> str:
    """Write the token file of all parts.

    Args:
        out: the token file.
        dataset: the images whose tokens the parts have.
        tokenizer, resolution: as in `prepare_parts`.
        parts: by split, all with their files.

    Returns:
        The identity of the token file.

    Raises:
        UserError: a part cannot be read, or the file cannot be written.
    """
    notes = {"images": dataset.identity, "resolution": str(resolution)}
    if dataset.held_out:
        notes["held_out"] = dataset.held_out
    about = describe_tokens(tokenizer, dataset.name, dataset.classes, notes)
    splits = {
        "train": TokenSplit(dataset.train.labels, _readable(parts["train"])),
        "val": TokenSplit(dataset.val.labels, _readable(parts["val"])),
    }
    return write_token_file(out, about, token_shape(tokenizer, resolution), splits)


def _readable(parts: list[Part]) -> Iterator[Tensor]:
    """The tokens (n, G, H, W) of the images of each part that could be decoded."""
    for tokens in _read_parts(parts):
        yield tokens[readable_rows(tokens)]


def _read_parts(parts: list[Part]) -> Iterator[Tensor]:
    """The tokens (n, G, H, W) of each part.

    Raises:
        UserError: a part cannot be read.
    """
    for part in parts:
        try:
            data = part.file.read_bytes()
            if not has_trailer(data, part.file, AGAIN):
                raise damaged(part.file, AGAIN)
            yield torch.from_numpy(np.load(io.BytesIO(data), allow_pickle=False))
        except (OSError, EOFError, ValueError) as error:
            raise UserError(f"{part.file}: cannot be read ({error}); {AGAIN}") from error
