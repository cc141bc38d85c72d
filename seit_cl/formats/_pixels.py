"""The pixels of samples, as formats of pixels take them."""

from __future__ import annotations

from torch import Tensor

from seit_cl.core.errors import UserError
from seit_cl.data.samples import Samples


def pixels_of(samples: Samples, side: int) -> Tensor:
    """Read the images (B, 3, S, S) uint8 of samples.

    Args:
        samples: (B,).
        side: the memory's image side S in pixels.

    Raises:
        UserError: images of another side.
    """
    pixels = samples.pixels()
    if pixels.shape[-1] != side:
        raise UserError(
            f"images of {pixels.shape[-1]} px in a memory of {side} px; resize them, or make the "
            f"memory with resolution={pixels.shape[-1]}"
        )
    return pixels
