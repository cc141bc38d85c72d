"""Figures of a tokenizer in words, for the commands that measure one."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from seit_cl.core.token_shapes import token_shape
from seit_cl.formats._packing import code_bits, packed_bytes
from seit_cl.tokenizers import DEFAULT_TOKENIZER, Tokenizer, open_tokenizer
from seit_cl.tokenizers._quality import Quality, quality


def bytes_of_tokens(grid: tuple[int, int, int], codes: int) -> int:
    """Bytes of the packed tokens of an image.

    Args:
        grid: shape (G, H, W) of its tokens.
        codes: codes of each codebook, K.
    """
    groups, height, width = grid
    return packed_bytes(groups * height * width, code_bits(codes))


def grid_size(grid: tuple[int, int, int], codes: int) -> str:
    """Describe the tokens and bytes of an image of a grid (G, H, W)."""
    groups, height, width = grid
    return (
        f"{groups} x {height} x {width} tokens, {bytes_of_tokens(grid, codes):,} bytes of "
        f"{code_bits(codes)} bits each"
    )


def measured_line(tokenizer: Tokenizer, measured: Quality) -> str:
    """Describe fidelity, code use and speed of a tokenizer on some images."""
    groups, codes, _ = tokenizer.codebook.shape
    fidelity = "does not decode to images"
    if tokenizer.decodes:
        fidelity = f"PSNR {measured.psnr:.2f} dB"
    return (
        f"{fidelity}, {measured.used} of {groups * codes} codes in use, "
        f"{measured.entropy:.2f} bits per token of entropy, {measured.speed:,.0f} images/s"
    )


def beside_bundled(tokenizer: Tokenizer, images: Tensor) -> Iterator[str]:
    """Lines that compare a tokenizer with the bundled one on the same images.

    Args:
        tokenizer: a newly trained one.
        images: (N, 3, S, S) uint8, not trained on.

    Yields:
        Lines to print; none where the bundled tokenizer does not take images of this side.
    """
    side = images.shape[-1]
    bundled = open_tokenizer(DEFAULT_TOKENIZER)
    if side % bundled.stride:
        return
    yield f"on the same {len(images):,} val images at {side} px:"
    for name, each in (("this tokenizer", tokenizer), (DEFAULT_TOKENIZER, bundled)):
        size = bytes_of_tokens(token_shape(each, side), each.codebook.shape[1])
        yield f"  {name}: {size:,} bytes an image, {measured_line(each, quality(each, images))}"
