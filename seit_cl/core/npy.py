"""Arrays in the .npy format from files of unknown origin."""

from __future__ import annotations

import math
from typing import BinaryIO

import numpy as np


def read_npy(file: BinaryIO, most_bytes: int) -> np.ndarray:
    """Read an array of numbers whose size is compared with a limit before memory is taken for it.

    `numpy.load` takes the memory that the header claims first.

    Args:
        file: open where the array starts; it is left where the array ends.
        most_bytes: the most that its values may take, for example the size of the file.

    Raises:
        Exception: any, where the header cannot be parsed.
        ValueError: objects in place of numbers, more values than the limit, or fewer in the file
            than the header says.
    """
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        shape, in_columns, dtype = np.lib.format.read_array_header_1_0(file)
    else:
        shape, in_columns, dtype = np.lib.format.read_array_header_2_0(file)
    if dtype.kind not in "biufc":
        raise ValueError(f"an array of {dtype}")
    size = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or size > most_bytes:
        raise ValueError(f"its header claims {size:,} bytes, of at most {most_bytes:,}")
    data = file.read(size)
    if len(data) < size:
        raise ValueError(f"it ends after {len(data):,} of {size:,} bytes")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if in_columns else "C")
