"""Blocks in which images are processed, so that memory does not grow with their number.

A block is bounded in pixels, not in images: one photograph may have as many as a thousand
thumbnails.
"""

from __future__ import annotations

from collections.abc import Iterator

# Of a block of decoded images, which take three bytes a pixel: 512 images of 256 px.
PIXELS = 2**25
IMAGES = 512  # of a block at most
FILES_AT_ONCE = 4  # image files as they are, of any size


def images_at_once(side: int, most: int = IMAGES) -> int:
    """Number of square images of a block, at least one.

    Args:
        side: of the images in pixels.
        most: images of a block, however small they are. It lowers the pixels in proportion: half
            as many images as IMAGES have half as many pixels.
    """
    pixels = PIXELS * most // IMAGES
    return max(1, min(most, pixels // max(1, side) ** 2))


def slices(count: int, size: int) -> Iterator[slice]:
    """Cut 0..count-1 into slices of a size; the last one may be smaller."""
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))
