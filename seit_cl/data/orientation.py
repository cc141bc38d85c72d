"""Orientation of photographs: how a stored image is turned to stand upright.

A camera stores the pixels as its sensor lies, and the turn as a number in the EXIF data (CIPA
DC-008, tag 0x0112), which are laid out like a TIFF file (TIFF, revision 6.0, section 2).
"""

from __future__ import annotations

import struct

import numpy as np

UPRIGHT = 1
TAG = 0x0112
HEAD = b"Exif\0\0"  # before the data in JPEG files
BYTE_ORDERS = {b"II": "<", b"MM": ">"}
ENTRY_BYTES = 12


def orientation_of(exif: bytes) -> int:
    """Read the orientation from EXIF data.

    Args:
        exif: the data of an image file, with or without `HEAD`; may be damaged or empty.

    Returns:
        1 to 8 as in the standard; 1, upright, where the data name none.
    """
    data = exif.removeprefix(HEAD)
    order = BYTE_ORDERS.get(data[:2])
    if order is None:
        return UPRIGHT
    try:
        (first,) = struct.unpack_from(f"{order}I", data, 4)
        (entries,) = struct.unpack_from(f"{order}H", data, first)
        for entry in range(entries):
            tag, _, _, value = struct.unpack_from(
                f"{order}HHIH", data, first + 2 + ENTRY_BYTES * entry
            )
            if tag == TAG:
                return value if UPRIGHT <= value <= 8 else UPRIGHT
    except struct.error:  # the data end here
        return UPRIGHT
    return UPRIGHT


def turn_upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Turn an image upright.

    Args:
        pixels: (H, W, 3), as stored.
        orientation: 1 to 8.

    Returns:
        (H, W, 3), or (W, H, 3) for an image that lies on its side; the same array where it stands
        upright.
    """
    if orientation == UPRIGHT:
        return pixels
    if orientation > 4:  # rows are columns
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)
