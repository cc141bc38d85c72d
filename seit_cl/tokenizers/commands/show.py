"""`python -m seit_cl.tokenize show`: draw the reconstructions of a tokenizer."""

from __future__ import annotations

from torch import Tensor

from seit_cl.core.errors import UserError
from seit_cl.data.decoding import limit_pixels
from seit_cl.data.fractals import render
from seit_cl.data.images import load_images
from seit_cl.tokenizers import _picture, open_tokenizer
from seit_cl.tokenizers._encoding import check_resolution
from seit_cl.tokenizers._quality import CHECK_SEED
from seit_cl.tokenizers.commands.options import Show

FRACTAL_SIDE = 64  # pixels
MOST_SHOWN = 256  # images in a row: a picture of 41,000 pixels


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
    columns = options.fractals + len(options.images) * len(options.sides)
    if columns > MOST_SHOWN:
        raise UserError(
            f"--images, --fractals: {columns:,} pictures in a row; give fewer, up to {MOST_SHOWN} "
            "in all --sides"
        )
    limit_pixels(options.max_pixels)
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
