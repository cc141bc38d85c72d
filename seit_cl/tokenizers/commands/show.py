"""`python -m seit_cl.tokenize list|show`: list the tokenizers, and draw one's reconstructions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from torch import Tensor

from seit_cl.core import plugins
from seit_cl.core.cli import hint
from seit_cl.core.errors import UserError
from seit_cl.core.specs import argument_label, option_fields, spec_text
from seit_cl.data.fractals import render
from seit_cl.data.images import load_images
from seit_cl.tokenizers import DEFAULT_TOKENIZER, TokenizerKind, _picture, open_tokenizer
from seit_cl.tokenizers._encoding import check_resolution
from seit_cl.tokenizers._quality import CHECK_SEED

FRACTAL_SIDE = 64  # pixels


@dataclass(frozen=True)
class List:
    """Print every kind of tokenizer with its source, options and paper."""


@dataclass(frozen=True)
class Show:
    """Draw images and their reconstructions from tokens: fractals, and image files."""

    images: Annotated[tuple[Path, ...], hint("image files; their central squares are shown")] = ()
    sides: Annotated[tuple[int, ...], hint("sides in pixels that each file is shown at")] = (
        64,
        128,
        256,
    )
    fractals: Annotated[int, hint("fractals of 64 px to show")] = 4
    tokenizer: Annotated[str, hint("a tokenizer file, or kind:SOURCE,option=value")] = (
        DEFAULT_TOKENIZER
    )
    out: Annotated[Path, hint("PNG file to write")] = Path("reconstructions.png")


def list_command(options: List) -> None:
    """Run `tokenize list`."""
    for name in sorted(plugins.names("tokenizer")):
        kind: TokenizerKind = plugins.load("tokenizer", name)
        defaults = {option.name: option.default for option in option_fields(kind.Options)}
        print(spec_text(name, argument_label(kind.Options), defaults))
        print(f"    {kind.about}")


def show_command(options: Show) -> None:
    """Run `tokenize show`.

    Raises:
        UserError: nothing to show, a side that does not fit, a tokenizer or image that cannot be
            read, or a missing output folder.
    """
    if options.fractals < 0 or not (options.fractals or options.images):
        raise UserError(
            f"--fractals {options.fractals}: must be 0 or more, and at least 1 without --images"
        )
    if not options.out.parent.is_dir():
        raise UserError(f"--out {options.out}: no such folder; make it first")
    tokenizer = open_tokenizer(options.tokenizer)
    for side in options.sides:
        check_resolution(side, tokenizer.stride, "--sides")
    images, names = _images_to_show(options)
    _picture.save_png(_picture.draw_reconstructions(tokenizer, images, names), options.out)
    print(f"wrote {options.out}")


def _images_to_show(options: Show) -> tuple[list[Tensor], list[str]]:
    """Images (3, S, S) uint8, the fractals first, and a name for each."""
    images: list[Tensor] = []
    if options.fractals:
        images += render(options.fractals, 1, FRACTAL_SIDE, CHECK_SEED, "val")[0]
    names = ["fractal"] * len(images)
    for file in options.images:
        for side in options.sides:
            images.append(load_images([file], side)[0])
            names.append(file.stem)
    return images, names
