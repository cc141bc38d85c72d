"""`python -m seit_cl.tokenize entropy`: fit and measure the entropy model of a tokenizer."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.progress import Progress, TaskID

from seit_cl.core.errors import UserError
from seit_cl.core.extras import check_extra
from seit_cl.core.progress import progress_bars
from seit_cl.core.token_shapes import is_sequence
from seit_cl.data.decoding import limit_pixels
from seit_cl.data.stored import StoredImage
from seit_cl.datasets import list_data
from seit_cl.formats.entropy.compact import MAX_SIZE
from seit_cl.formats.entropy.grids import CODERS
from seit_cl.formats.entropy.model import EntropyModel
from seit_cl.tokenizers import Tokenizer, open_tokenizer
from seit_cl.tokenizers._encoding import check_resolution
from seit_cl.tokenizers.commands.options import Entropy
from seit_cl.tokenizers.training.entropy import EntropyFitOptions, encode_grids, fit_entropy
from seit_cl.tokenizers.training.images import find_images

MAX_MEASURED = 500  # images of val
# Largest sizes with which the networks' sums are exact in float32.
MOST = {"width": 256, "embedding": 64, "compact_width": 256}
STEPS_PER_LINE = 1000  # between lines of progress where the console is no terminal


def entropy_command(options: Entropy) -> None:
    """Fit, write the file, and print how many bytes images take.

    Raises:
        UserError: a folder, image or tokenizer that cannot be read, sides that do not fit, or too
            few steps.
    """
    limit_pixels(options.max_pixels)
    tokenizer = open_tokenizer(options.tokenizer)
    _check(options, tokenizer)
    folder = list_data(options.data_root)
    console = Console()
    grids = [(encode_grids(tokenizer, folder.train.images, options.resolution), 1.0)]
    if options.photos is not None:
        photos = find_images(options.photos)
        grids = [(grids[0][0], 0.5)]
        for side in options.sizes:
            large = encode_grids(tokenizer, photos, side, mirrored=True)
            grids.append((large, 0.5 / len(options.sizes)))
    console.print(f"fitting to {sum(grid.numel() for grid, _ in grids):,} tokens")
    with progress_bars(console) as bars:
        model = fit_entropy(
            tokenizer.identity,
            tokenizer.codebook.shape[1],
            grids,
            EntropyFitOptions(
                steps=options.steps,
                width=options.width,
                embedding=options.embedding,
                compact_width=options.compact_width,
                seed=options.seed,
            ),
            _progress(bars),
            is_sequence(tokenizer),
            tokenizer.codebook,
        )
    model.save(options.out)
    sizes = _measure(model, tokenizer, folder.val.images, options.resolution)
    console.print(f"{options.out}: {sizes}")


def _check(options: Entropy, tokenizer: Tokenizer) -> None:
    """Check options before anything is tokenized.

    Raises:
        UserError: a missing package, photos of sequences, sides that do not fit, or too few steps.
    """
    check_extra("faiss", "faiss", "tokenize entropy")
    if is_sequence(tokenizer) and options.photos is not None:
        raise UserError(
            f"--photos {options.photos}: sequences of tokens are of one image side; leave it out"
        )
    check_resolution(options.resolution, tokenizer.stride)
    for side in options.sizes if options.photos is not None else ():
        check_resolution(side, tokenizer.stride, "--sizes")
    for name, most in MOST.items():
        if not 1 <= getattr(options, name) <= most:
            flag = name.replace("_", "-")
            raise UserError(f"--{flag} {getattr(options, name)}: must be 1 to {most}")
    if options.steps < 1:
        raise UserError(f"--steps {options.steps}: must be at least 1")
    if not options.out.parent.is_dir():
        raise UserError(f"--out {options.out}: no such folder; make it first")


def _measure(
    model: EntropyModel, tokenizer: Tokenizer, stored: Sequence[StoredImage], side: int
) -> str:
    """Mean bytes of records by every coder, as text.

    Args:
        model: of the tokenizer.
        tokenizer: encodes the images.
        stored: images, of which at most MAX_MEASURED are measured, taken evenly.
        side: of the images in pixels.
    """
    stride = math.ceil(len(stored) / MAX_MEASURED)
    chosen = stored[::stride]
    grids = encode_grids(tokenizer, chosen, side)
    parts = []
    for name, coder in CODERS.items():
        if name == "compact" and not model.compact_parts:
            parts.append(f"no compact network of vectors of more than {MAX_SIZE} numbers")
            continue
        made = coder(model, *grids.shape[2:])
        mean = float(made.encode(grids).lengths.double().mean())
        parts.append(f"{name} {mean:.1f} (its model: {made.codec_bytes:,})")
    return f"bytes per record of {len(chosen):,} val images at {side} px: {', '.join(parts)}"


def _progress(bars: Progress) -> Callable[[str, int, int, float], None]:
    """Function that shows the steps of a fit as bars, or as lines where there is no terminal."""
    tasks: dict[str, TaskID] = {}

    def show(name: str, step: int, steps: int, bits: float) -> None:
        if name not in tasks:
            tasks[name] = bars.add_task(name, total=None)
        description = f"{name}: {bits:.3f} bits per token"
        bars.update(tasks[name], completed=step, total=steps, description=description)
        if not bars.console.is_terminal and (step % STEPS_PER_LINE == 0 or step == steps):
            bars.console.print(f"{name}: step {step} of {steps}, {bits:.3f} bits per token")

    return show
