"""Room for decoded images: in main memory, or in a file where they are too many."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from seit_cl.core.devices import MAIN_MEMORY
from seit_cl.core.errors import UserError
from seit_cl.core.shared_tensors import SharedTensor


def room_for_images(count: int, resolution: int) -> Tensor:
    """Make an uninitialised tensor of images that are to be filled in.

    Above MAIN_MEMORY it is mapped from a file without a name in the cache folder, whose pages the
    system writes out where other work needs the memory.

    Args:
        count: number of images N.
        resolution: side S in pixels.

    Returns:
        (N, 3, S, S) uint8, on the CPU.

    Raises:
        UserError: a resolution below 1, or no space for the file.
    """
    if resolution < 1:
        raise UserError(f"resolution {resolution}: must be at least 1 pixel")
    shape = (count, 3, resolution, resolution)
    if math.prod(shape) <= MAIN_MEMORY:
        return torch.empty(shape, dtype=torch.uint8)
    return SharedTensor(shape, torch.uint8).tensor
