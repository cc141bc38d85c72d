"""`python -m seit_cl.tokenize entropy`: fit the probabilities of a tokenizer's codes, and measure them on images held out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
import tyro
from rich.console import Console
from rich.progress import Progress
from torch import Tensor

from seit_cl.core.errors import UserError
from seit_cl.core.progress import progress_bars
from seit_cl.data.folder import open_folder
from seit_cl.data.images import load_images
from seit_cl.formats.entropy.grids import CODERS
from seit_cl.formats.entropy.model import EntropyModel
from seit_cl.tokenizers import DEFAULT_TOKENIZER, Tokenizer, open_tokenizer
from seit_cl.tokenizers._encoding import check_resolution
from seit_cl.tokenizers.training.entropy import Fit, fit_entropy
from seit_cl.tokenizers.training.images import find_images

LOADED = 256  # images tokenized at a time
MEASURED = 500  # images of val, at most


@dataclass(frozen=True)
class Entropy:
    """Fit what entropy coders know of a tokenizer's codes, on images that no memory will hold."""

    data_root: Annotated[
        Path,
        tyro.conf.arg(help="folder with train/<class>/* to fit on and val/<class>/* to measure on"),
    ]
    out: Annotated[Path, tyro.conf.arg(help="safetensors file to write")]
    tokenizer: Annotated[
        str, tyro.conf.arg(help="a tokenizer file, or kind:SOURCE,option=value")
    ] = DEFAULT_TOKENIZER
    resolution: Annotated[int, tyro.conf.arg(help="side in pixels of the folder's images")] = 64
    photos: Annotated[
        Path | None, tyro.conf.arg(help="folder of larger images to fit on as well, of all sizes")
    ] = None
    sizes: Annotated[tuple[int, ...], tyro.conf.arg(help="sides in pixels of these")] = (
        96,
        128,
        192,
        256,
        320,
        384,
    )
    steps: Annotated[int, tyro.conf.arg(help="steps of the fit")] = 8000
    seed: Annotated[int, tyro.conf.arg(help="seed of weights and batches")] = 0


def grids_of(tokenizer: Tokenizer, paths: list[Path], side: int, mirrored: bool = False) -> Tensor:
    """Grids (B, H, W) of image files at a side in pixels, and of their mirror images after each batch of them."""
    found = []
    for start in range(0, len(paths), LOADED):
        images = load_images(paths[start : start + LOADED], side)
        found.append(tokenizer.encode(images))
        if mirrored:
            found.append(tokenizer.encode(images.flip(3)))
    return torch.cat(found)[:, 0]


def entropy_command(options: Entropy) -> None:
    """Fit, write the file, and say how many bytes images take.

    Raises:
        UserError: a folder, image or tokenizer that cannot be read, sides that do not fit, or too few steps.
    """
    tokenizer = open_tokenizer(options.tokenizer)
    if tokenizer.codebook.shape[0] != 1:
        raise UserError(
            f"--tokenizer {options.tokenizer}: several codes a position cannot be fitted"
        )
    check_resolution(options.resolution, tokenizer.stride)
    for side in options.sizes:
        check_resolution(side, tokenizer.stride, "--sizes")
    if options.steps < 1 or not options.out.parent.is_dir():
        raise UserError("--steps must be at least 1, and the folder of --out must exist")
    folder, console = open_folder(options.data_root), Console()
    parts = [(grids_of(tokenizer, folder.train.paths, options.resolution), 1.0)]
    if options.photos is not None:
        large = find_images(options.photos)
        share = 0.5 / len(options.sizes)
        parts = [
            (parts[0][0], 0.5),
            *((grids_of(tokenizer, large, side, True), share) for side in options.sizes),
        ]
    console.print(f"fitting to {sum(grid.numel() for grid, _ in parts):,} tokens")
    with progress_bars(console) as bars:
        model = fit_entropy(
            tokenizer.identity,
            tokenizer.codebook.shape[1],
            parts,
            Fit(steps=options.steps, seed=options.seed),
            _reporter(bars),
        )
    model.save(options.out)
    console.print(
        f"{options.out}: {model.nbytes:,} bytes; {measured(model, tokenizer, folder.val.paths, options.resolution)}"
    )


def measured(model: EntropyModel, tokenizer: Tokenizer, paths: list[Path], side: int) -> str:
    """What records of images take, in words; of MEASURED files at most, from all over the list."""
    chosen = paths[:: -(-len(paths) // MEASURED)]
    grids = grids_of(tokenizer, chosen, side)
    sizes = {
        name: coder(model, *grids.shape[1:]).encode(grids).lengths.double().mean()
        for name, coder in CODERS.items()
    }
    words = ", ".join(f"{name} {float(size):.1f}" for name, size in sizes.items())
    return f"bytes a record of {len(chosen):,} val images at {side} px: {words}"


def _reporter(bars: Progress) -> Callable[[str, int, int, float], None]:
    tasks = {name: bars.add_task(name, total=None) for name in ("network", "tables")}

    def show(name: str, step: int, steps: int, bits: float) -> None:
        bars.update(
            tasks[name], completed=step, total=steps, description=f"{name}: {bits:.3f} bits a token"
        )
        if not bars.console.is_terminal and (step % 1000 == 0 or step == steps):
            bars.console.print(f"{name}: step {step} of {steps}, {bits:.3f} bits a token")

    return show
