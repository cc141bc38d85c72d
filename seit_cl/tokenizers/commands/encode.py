"""`python -m seit_cl.tokenize encode`: an image folder to a token file, on all cores or the GPU, by one process or several.

The images are cut into parts, each a file in a folder beside the output; what is there is not done again, so that an interrupted
command goes on. Under torchrun every rank takes each WORLD_SIZE-th part, and rank 0 joins them once all are there.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from rich.console import Console
from torch import Tensor

from seit_cl.core.cli import hint
from seit_cl.core.devices import allowed_cores, choose_device
from seit_cl.core.errors import UserError
from seit_cl.core.files import atomic_file, write_atomic
from seit_cl.core.progress import images_bar
from seit_cl.data.base import Dataset
from seit_cl.data.folder import open_folder
from seit_cl.data.images import load_images, native_resolution
from seit_cl.data.token_file import About, TokenSplit, write_token_file
from seit_cl.tokenizers import DEFAULT_TOKENIZER, Tokenizer, open_tokenizer
from seit_cl.tokenizers._encoding import check_resolution
from seit_cl.tokenizers.commands.workers import encode_in_processes

PART = 512  # images of a part
CHUNK = 64  # images of a part decoded and tokenized at a time
WAIT = 600.0  # seconds without a new part after which rank 0 gives the others up


@dataclass(frozen=True)
class Encode:
    """Turn an image folder into a token file. Interrupted, the same command goes on; under torchrun processes share the work."""

    data_root: Annotated[Path, hint("folder with train/<class>/* and val/<class>/*")]
    out: Annotated[Path, hint("safetensors file to write")]
    tokenizer: Annotated[str, hint("a tokenizer file, or kind:SOURCE,option=value")] = (
        DEFAULT_TOKENIZER
    )
    resolution: Annotated[int, hint("image side in pixels; 0: the dataset's own")] = 0
    workers: Annotated[int, hint("processes on a CPU; 0: one a core; on a GPU there is one")] = 0
    device: Annotated[Literal["auto", "cpu", "cuda"], hint("where the tokenizer runs")] = "auto"
    skip_bad_images: Annotated[bool, hint("leave unreadable images out")] = False


@dataclass(frozen=True)
class Part:
    """Some images of a split and the file that their tokens go to.

    Args:
        paths: image files.
        file: .npy file.
        resolution: side S in pixels.
    """

    paths: list[Path]
    file: Path
    resolution: int

    def write(self, encode: Callable[[Tensor], Tensor], threads: int | None = None) -> int:
        """Encode the images and write their tokens (n, G, H, W) int16; gives their number."""
        chunks = [self.paths[start : start + CHUNK] for start in range(0, len(self.paths), CHUNK)]
        with ThreadPoolExecutor(1) as ahead:  # decodes the next chunk meanwhile
            images = ahead.map(lambda chunk: load_images(chunk, self.resolution, threads), chunks)
            tokens = torch.cat([encode(batch) for batch in images])
        with atomic_file(self.file) as file:
            np.save(file, tokens.numpy(), allow_pickle=False)
        return len(self.paths)


def encode_command(options: Encode) -> None:
    """Run `tokenize encode`.

    Raises:
        UserError: bad folder, tokenizer or side, parts of another command beside the output, or ranks that do not deliver.
    """
    if (
        options.out.suffix != ".safetensors"
        or not options.out.parent.is_dir()
        or options.workers < 0
    ):
        raise UserError(
            f"--out {options.out} must end in .safetensors and be in a folder that exists; --workers "
            f"{options.workers} must be 0 or more"
        )
    rank, ranks = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    device, console = choose_device(options.device), Console(soft_wrap=True, quiet=rank > 0)
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)))
    dataset, tokenizer = (
        open_folder(options.data_root, options.skip_bad_images),
        open_tokenizer(options.tokenizer),
    )
    resolution = options.resolution or native_resolution(dataset)
    check_resolution(resolution, tokenizer.stride)
    folder = options.out.with_name(options.out.name + ".parts")
    parts = prepare(folder, dataset, tokenizer, resolution)
    try:
        with images_bar("encoding", len(dataset.train) + len(dataset.val), console) as more:
            every = [part for split in parts.values() for part in split]
            share = [part for part in every[rank::ranks] if not part.file.exists()]
            more(sum(len(part.paths) for part in every[rank::ranks] if part not in share))
            _encode(share, options, tokenizer.to(device), device, more)
            if rank > 0:
                return
            wait([part for number, part in enumerate(every) if number % ranks], more)
        identity = join(options.out, dataset, tokenizer, resolution, parts)
    except KeyboardInterrupt:
        console.print(
            f"interrupted; the same command goes on from the parts in {folder}", markup=False
        )
        sys.exit(130)
    shutil.rmtree(folder)
    images = f"{len(dataset.train):,} train and {len(dataset.val):,} val images at {resolution} px"
    split = dataset.held_out and f"; {dataset.held_out}"
    console.print(
        f"wrote {options.out}: {images}, identity {identity}{split}", markup=False, highlight=False
    )


def prepare(
    folder: Path, dataset: Dataset, tokenizer: Tokenizer, resolution: int
) -> dict[str, list[Part]]:
    """Make the folder of the parts, or check that what is in it is of the same images and tokens.

    Returns:
        All parts by split, those included whose files are there already.

    Raises:
        UserError: the folder is another command's, or cannot be written.
    """
    says = json.dumps(
        {
            "images": dataset.manifest,
            "tokenizer": tokenizer.identity,
            "resolution": resolution,
            "part": PART,
        }
    )
    about = folder / "parts.json"
    try:
        folder.mkdir(exist_ok=True)
        if not about.exists():
            write_atomic(about, says)
        same = about.read_text() == says
    except OSError as error:
        raise UserError(
            f"{folder}: cannot be written ({error.strerror}); choose another --out"
        ) from error
    if not same:
        raise UserError(
            f"{folder}: has parts of other images, another tokenizer or another --resolution; delete it, or choose "
            "another --out"
        )
    splits = {"train": dataset.train.paths, "val": dataset.val.paths}
    return {
        name: [
            Part(paths[start : start + PART], folder / f"{name}-{start:09d}.npy", resolution)
            for start in range(0, len(paths), PART)
        ]
        for name, paths in splits.items()
    }


def _encode(
    parts: list[Part],
    options: Encode,
    tokenizer: Tokenizer,
    device: torch.device,
    more: Callable[[int], None],
) -> None:
    """Write this rank's parts: on a CPU in processes of one thread each, else here."""
    cores = max(1, allowed_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", 1)))
    workers = min(options.workers or cores, len(parts))
    if device.type == "cuda" or workers <= 1:
        for part in parts:
            more(part.write(tokenizer.encode))
    else:
        encode_in_processes(parts, options.tokenizer, workers, more)


def wait(parts: list[Part], more: Callable[[int], None], limit: float = WAIT) -> None:
    """Wait until every part is there.

    Raises:
        UserError: none came for `limit` seconds.
    """
    left, since = list(parts), time.monotonic()
    while left:
        there = [part for part in left if part.file.exists()]
        if there:
            left, since = [part for part in left if part not in there], time.monotonic()
            more(sum(len(part.paths) for part in there))
        elif time.monotonic() - since > limit:
            raise UserError(
                f"{left[0].file}: not written by its rank within {limit:g} s; start the command again, it goes on"
            )
        else:
            time.sleep(min(0.5, limit / 10))


def join(
    out: Path, dataset: Dataset, tokenizer: Tokenizer, resolution: int, parts: dict[str, list[Part]]
) -> str:
    """Write the token file of all parts; gives its identity.

    Raises:
        UserError: a part cannot be read, or the file cannot be written.
    """
    side = resolution // tokenizer.stride
    about = About(
        dataset.name,
        dataset.classes,
        tokenizer.codebook.cpu(),
        tokenizer.combine,
        tokenizer.stride,
        tokenizer.identity,
        tokenizer.codec_bytes,
        None if tokenizer.mirror is None else tokenizer.mirror.cpu(),
        notes={"images": dataset.identity, "resolution": str(resolution)}
        | ({"held_out": dataset.held_out} if dataset.held_out else {}),
    )
    splits = {
        "train": TokenSplit(dataset.train.labels, _read(parts["train"])),
        "val": TokenSplit(dataset.val.labels, _read(parts["val"])),
    }
    return write_token_file(out, about, (len(tokenizer.codebook), side, side), splits)


def _read(parts: list[Part]) -> Iterator[Tensor]:
    for part in parts:
        try:
            yield torch.from_numpy(np.load(part.file, allow_pickle=False))
        except (OSError, EOFError, ValueError) as error:
            raise UserError(
                f"{part.file}: cannot be read ({error}); delete it and start the command again"
            ) from error
