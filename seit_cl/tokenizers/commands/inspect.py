"""`python -m seit_cl.tokenize inspect`: what a tokenizer, a token file, a SeiT release or somebody's checkpoint is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from seit_cl.core.cli import hint
from seit_cl.core.errors import UserError
from seit_cl.core.torch_files import load_tensors
from seit_cl.data.fractals import render
from seit_cl.data.images import load_images
from seit_cl.data.seit.release import is_release, read_release
from seit_cl.data.token_file import (
    CHUNK,
    TokenFile,
    check_codes,
    is_token_file,
    open_token_file,
)
from seit_cl.formats._packing import code_bits
from seit_cl.tokenizers import DEFAULT_TOKENIZER, Tokenizer, _picture, open_tokenizer
from seit_cl.tokenizers._checkpoint import find_tensors, model_of
from seit_cl.tokenizers._encoding import check_resolution
from seit_cl.tokenizers._quality import CHECK_SEED, Counts, quality
from seit_cl.tokenizers._stored import tokenizer_behind
from seit_cl.tokenizers.training.images import find_images

CHECKPOINTS = (".ckpt", ".pt", ".pth", ".bin")
SHOWN = 8  # images of the picture


@dataclass(frozen=True)
class Inspect:
    """Say what a thing is: a tokenizer (measured on images that you name), a token file, a SeiT release, or a checkpoint."""

    what: Annotated[
        tyro.conf.Positional[str],
        hint("file, folder or kind:SOURCE; none: the tokenizer of --tokenizer"),
    ] = ""
    tokenizer: Annotated[
        str | None, hint("a tokenizer, or the one that made a token file; none: the bundled one")
    ] = None
    images: Annotated[
        Path | None, hint("folder of images to measure it on: all in it and in the folders in it")
    ] = None
    resolution: Annotated[int, hint("side in pixels that these are resized to")] = 64
    picture: Annotated[
        Path | None, hint("PNG file for reconstructions of these images, or of fractals")
    ] = None


def inspect_command(options: Inspect) -> None:
    """Run `tokenize inspect`.

    Raises:
        UserError: something that cannot be read, no images, or a side that does not fit.
    """
    path = Path(options.what)
    if options.picture is not None and not options.picture.parent.is_dir():
        raise UserError(f"--picture {options.picture}: no such folder; make it first")
    if options.what and is_token_file(path):
        _token_file(open_token_file(path), options)
    elif options.what and is_release(path):
        _release(path)
    elif path.suffix in CHECKPOINTS and ":" not in options.what and not path.is_dir():
        _checkpoint(path)
    else:
        spec = options.what or options.tokenizer or DEFAULT_TOKENIZER
        _tokenizer(open_tokenizer(spec), spec, options)


def _size(grid: tuple[int, int, int], codes: int, entropy: float | None = None) -> str:
    """What an image of a grid (G, H, W) takes, in words."""
    count, bits = grid[0] * grid[1] * grid[2], code_bits(codes)
    words = f"{grid[0]} x {grid[1]} x {grid[2]} tokens, {-(-count * bits // 8):,} bytes of {bits} bits each"
    return (
        words
        if entropy is None
        else f"{words}, {count * entropy / 8:,.0f} by the codes' frequencies"
    )


def _said(counts: Counts) -> str:
    return f"{counts.used} of {counts.groups * counts.codes} codes in use, {counts.entropy:.2f} bits per token of entropy"


def _tokenizer(tokenizer: Tokenizer, spec: str, options: Inspect) -> None:
    check_resolution(options.resolution, tokenizer.stride)
    files = [] if options.images is None else find_images(options.images, "--images")
    groups, codes, dim = tokenizer.codebook.shape
    side = options.resolution // tokenizer.stride
    print(
        f"{spec}: {codes} codes of {dim} dimensions, {groups} a position, stride {tokenizer.stride}"
    )
    print(f"identity: {tokenizer.identity}; {tokenizer.codec_bytes / 1e6:.2f} MB")
    print(f"an image of {options.resolution} px: {_size((groups, side, side), codes)}")
    for key, value in sorted(tokenizer.card.items()):
        print(f"{key}: {value}")
    images = load_images(files, options.resolution) if files else None
    if images is not None:
        found = quality(tokenizer, images)
        fidelity = f"PSNR {found.psnr:.2f} dB" if tokenizer.decodes else "does not decode to images"
        print(
            f"measured on {len(files):,} images at {options.resolution} px: {fidelity}, "
            f"{found.used} of {groups * codes} codes in use, {found.entropy:.2f} bits per token of entropy, "
            f"{found.speed:,.0f} images/s"
        )
    if options.picture is not None:
        shown = (
            render(SHOWN, 1, options.resolution, CHECK_SEED, "val")[0]
            if images is None
            else images[:SHOWN]
        )
        names = [file.stem for file in files[:SHOWN]] or ["fractal"] * len(shown)
        _picture.save_png(
            _picture.draw_reconstructions(tokenizer, list(shown), names), options.picture
        )
        print(f"wrote {options.picture}")


def _token_file(file: TokenFile, options: Inspect) -> None:
    about, codes = file.metadata, file.metadata.codebook.shape[1]
    damage = (
        "" if file.digest() == file.identity else "; DAMAGED: its contents have another identity"
    )
    print(
        f"{file.path}: token file of {about.name}, {len(about.classes):,} classes, identity {file.identity}{damage}"
    )
    print(
        f"codebook: {codes} codes of {about.codebook.shape[2]} dimensions, {file.grid[0]} a position, stride {about.stride}; "
        f"made by tokenizer {about.tokenizer}"
    )
    for key, value in sorted(about.notes.items()):
        print(f"{key}: {value!r}")
    file.check_codes()
    for name, tokens in file.tokens.items():
        counts = Counts(codes, file.grid[0])
        for start in range(0, len(tokens), CHUNK):
            counts.add(tokens[start : start + CHUNK])
        print(
            f"{name}: {len(tokens):,} images of {_size(file.grid, codes, counts.entropy)}; {_said(counts)}"
        )
    if options.picture is not None:
        tokens, labels = (next(iter(found.values())) for found in (file.tokens, file.labels))
        ids = [i * len(tokens) // SHOWN for i in range(min(SHOWN, len(tokens)))]
        restored = tokenizer_behind(file, options.tokenizer).decode(tokens[ids])
        names = [about.classes[label] for label in labels[ids].tolist()]
        _picture.save_png(_picture.draw_row(list(restored), names), options.picture)
        print(f"wrote {options.picture}")


def _release(folder: Path) -> None:
    release = read_release(folder)
    about = release.metadata
    print(
        f"{folder}: SeiT release {about.name}, {about.codebook.shape[1]} codes of {about.codebook.shape[2]} dimensions, "
        f"{'no' if about.synonyms is None else about.synonyms.shape[1]} synonyms each"
    )
    for name, split in release.splits.items():
        counts = Counts(about.codebook.shape[1])
        for block in split.tokens:
            check_codes(block, counts.codes, counts.images, f"{folder}: {name}")
            counts.add(block)
        print(
            f"{name}: {counts.images:,} images of {_size(release.grid, counts.codes, counts.entropy)}; {_said(counts)}"
        )
    print(
        f"turn it into a token file: python -m seit_cl.tokenize import-seit --release {folder} --out FILE.safetensors"
    )


def _checkpoint(path: Path) -> None:
    tensors = find_tensors(load_tensors(path))
    numbers = sum(tensor.numel() for tensor in tensors.values())
    kind = model_of(tensors)
    if not kind and len(tensors) == 1 and next(iter(tensors.values())).ndim == 2:
        kind = "a matrix, such as a codebook of {} codes of {} dimensions".format(
            *next(iter(tensors.values())).shape
        )
    print(
        f"{path}: checkpoint of {len(tensors):,} tensors, {numbers:,} numbers: {kind or 'of no kind known here'}"
    )
    for name in list(tensors)[:SHOWN]:
        print(f"    {name or 'tensor'} {tuple(tensors[name].shape)}")
    if len(tensors) > SHOWN:
        print(f"    and {len(tensors) - SHOWN:,} more")
