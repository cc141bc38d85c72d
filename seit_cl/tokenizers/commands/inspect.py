"""`python -m seit_cl.tokenize inspect`: describe a tokenizer, token file, release or checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from seit_cl.core.digests import damaged
from seit_cl.core.errors import UserError
from seit_cl.core.token_shapes import token_shape
from seit_cl.core.torch_files import load_tensors
from seit_cl.data.decoding import limit_pixels
from seit_cl.data.fractals import render
from seit_cl.data.images import load_images, read_chunks
from seit_cl.data.seit.release import is_release, read_release
from seit_cl.data.stored_tokens import check_codes
from seit_cl.data.token_file import (
    CHUNK,
    REMEDY,
    TokenFile,
    is_token_file,
    open_token_file,
)
from seit_cl.tokenizers import DEFAULT_TOKENIZER, Tokenizer, _picture, open_tokenizer
from seit_cl.tokenizers._checkpoint import find_tensors, model_of
from seit_cl.tokenizers._encoding import check_resolution
from seit_cl.tokenizers._quality import CHECK_SEED, Counts, quality
from seit_cl.tokenizers._stored import tokenizer_behind
from seit_cl.tokenizers.commands._figures import grid_size, measured_line
from seit_cl.tokenizers.commands.options import Inspect
from seit_cl.tokenizers.training.images import find_images

CHECKPOINTS = (".ckpt", ".pt", ".pth", ".bin")
SHOWN = 8  # images of the picture, and tensors of a checkpoint


def inspect_command(options: Inspect) -> None:
    """Run `tokenize inspect`.

    Raises:
        UserError: something that cannot be read, no images, or a side that does not fit.
    """
    if options.picture is not None and not options.picture.parent.is_dir():
        raise UserError(f"--picture {options.picture}: no such folder; make it first")
    limit_pixels(options.max_pixels)
    for line in _describe(options):
        print(line)


def _describe(options: Inspect) -> Iterator[str]:
    """The lines to print; the picture is written on the way."""
    path = Path(options.what)
    if options.what and is_token_file(path):
        file = open_token_file(path)
        yield from describe_token_file(file)
        if options.picture is not None:
            _draw_token_file(file, options.tokenizer, options.picture)
            yield f"wrote {options.picture}"
    elif options.what and is_release(path):
        yield from describe_release(path)
    elif path.suffix in CHECKPOINTS and ":" not in options.what and not path.is_dir():
        yield from describe_checkpoint(path)
    else:
        yield from _describe_tokenizer(options)


def describe_token_file(file: TokenFile) -> Iterator[str]:
    """Describe a token file, its codebook, and the code use of each split.

    Raises:
        Damaged: its contents are not those that were written, after the lines on the rest.
        UserError: a code is outside the codebook.
    """
    metadata = file.metadata
    groups, codes, dim = metadata.codebook.shape
    yield (
        f"{file.path}: token file of {metadata.name}, {len(metadata.classes):,} classes, "
        f"identity {file.identity}"
    )
    yield (
        f"codebook: {codes} codes of {dim} dimensions, {groups} a position, "
        f"stride {metadata.stride}; made by tokenizer {metadata.tokenizer}"
    )
    for key, value in sorted(metadata.notes.items()):
        yield f"{key}: {value!r}"
    file.check()
    if file.digest() != file.identity:
        raise damaged(file.path, REMEDY)
    for split, tokens in file.tokens.items():
        counts = Counts(codes, groups)
        for start in range(0, len(tokens), CHUNK):
            counts.add(tokens[start : start + CHUNK])
        yield _split_line(split, counts, file.grid)


def describe_release(folder: Path) -> Iterator[str]:
    """Describe a SeiT release, its codebook, and the code use of each split.

    Raises:
        UserError: a file that cannot be read, or a code outside the codebook.
    """
    release = read_release(folder)
    metadata = release.metadata
    _, codes, dim = metadata.codebook.shape
    synonyms = "no" if metadata.synonyms is None else metadata.synonyms.shape[1]
    yield (
        f"{folder}: SeiT release {metadata.name}, {codes} codes of {dim} dimensions, "
        f"{synonyms} synonyms each"
    )
    for name, split in release.splits.items():
        counts = Counts(codes)
        for tokens in split.tokens:
            check_codes(tokens, codes, counts.images, f"{folder}: {name}")
            counts.add(tokens)
        yield _split_line(name, counts, release.grid)
    yield (
        "turn it into a token file: "
        f"python -m seit_cl.tokenize import-seit --release {folder} --out FILE.safetensors"
    )


def describe_checkpoint(path: Path) -> Iterator[str]:
    """Describe a checkpoint of torch.save: the model that it is of, and its first tensors.

    Raises:
        UserError: it cannot be read.
    """
    tensors = find_tensors(load_tensors(path))
    numbers = sum(tensor.numel() for tensor in tensors.values())
    yield (
        f"{path}: checkpoint of {len(tensors):,} tensors, {numbers:,} numbers: {_model(tensors)}"
    )
    names = list(tensors)
    for name in names[:SHOWN]:
        yield f"    {name or 'tensor'} {tuple(tensors[name].shape)}"
    if len(names) > SHOWN:
        yield f"    and {len(names) - SHOWN:,} more"


def _model(tensors: dict[str, Tensor]) -> str:
    model = model_of(tensors)
    if model:
        return model
    shapes = [tensor.shape for tensor in tensors.values()]
    if len(shapes) == 1 and len(shapes[0]) == 2:
        codes, dim = shapes[0]
        return f"a matrix, such as a codebook of {codes} codes of {dim} dimensions"
    return "of an unknown kind"


def _describe_tokenizer(options: Inspect) -> Iterator[str]:
    """Describe a tokenizer, and measure and draw it where the options ask for that."""
    spec = options.what or options.tokenizer or DEFAULT_TOKENIZER
    tokenizer = open_tokenizer(spec)
    check_resolution(options.resolution, tokenizer.stride)
    files = [] if options.images is None else find_images(options.images, "--images")
    yield from describe_tokenizer(tokenizer, spec, options.resolution)
    if files:
        measured = quality(tokenizer, read_chunks(files, options.resolution))
        yield (
            f"measured on {len(files):,} images at {options.resolution} px: "
            f"{measured_line(tokenizer, measured)}"
        )
    if options.picture is None:
        return
    if files:
        images = load_images(files[:SHOWN], options.resolution)
        names = [file.stem for file in files[:SHOWN]]
    else:
        images = render(SHOWN, 1, options.resolution, CHECK_SEED, "val")[0]
        names = ["fractal"] * len(images)
    _picture.save_png(
        _picture.draw_reconstructions(tokenizer, list(images), names), options.picture
    )
    yield f"wrote {options.picture}"


def describe_tokenizer(tokenizer: Tokenizer, spec: str, resolution: int) -> Iterator[str]:
    """Describe a tokenizer, the bytes of an image, and its model card.

    Args:
        tokenizer: opened from the spec.
        spec: names it in the first line.
        resolution: side in pixels of the image.
    """
    groups, codes, dim = tokenizer.codebook.shape
    yield (
        f"{spec}: {codes} codes of {dim} dimensions, {groups} a position, stride {tokenizer.stride}"
    )
    yield f"identity: {tokenizer.identity}; {tokenizer.codec_bytes / 1e6:.2f} MB"
    yield f"an image of {resolution} px: {grid_size(token_shape(tokenizer, resolution), codes)}"
    for key, value in sorted(tokenizer.card.items()):
        yield f"{key}: {value}"


def _split_line(name: str, counts: Counts, grid: tuple[int, int, int]) -> str:
    """Describe a split's images, of a grid (G, H, W), and their code use."""
    tokens = grid[0] * grid[1] * grid[2]
    entropy_bytes = tokens * counts.entropy / 8
    return (
        f"{name}: {counts.images:,} images of {grid_size(grid, counts.codes)}, "
        f"{entropy_bytes:,.0f} by the codes' frequencies; "
        f"{counts.used} of {counts.groups * counts.codes} codes in use, "
        f"{counts.entropy:.2f} bits per token of entropy"
    )


def _draw_token_file(file: TokenFile, tokenizer_spec: str | None, out: Path) -> None:
    """Draw reconstructions of images from all over the first split.

    Raises:
        UserError: a bad spec, another tokenizer's, or one that does not decode.
    """
    split = next(iter(file.tokens))
    tokens = file.tokens[split]
    labels = file.labels[split]
    ids = [i * len(tokens) // SHOWN for i in range(min(SHOWN, len(tokens)))]
    images = tokenizer_behind(file, tokenizer_spec).decode(tokens[torch.tensor(ids)])
    names = [file.metadata.classes[label] for label in labels[ids].tolist()]
    _picture.save_png(_picture.draw_row(list(images), names), out)
