"""Corruptions of images in five severities, after ImageNet-C: Hendrycks and Dietterich, "Benchmarking neural network
robustness to common corruptions and perturbations", ICLR 2019.

The constants are those of the scripts that the authors published with the paper (create_c/make_imagenet_c.py for 224 px and
create_c/make_tinyimagenet_c.py for 64 px); the arithmetic is ours, and results are rounded, not cut off. Motion blur is a
kernel here and ImageMagick's there. Theirs are saved as JPEG once more; ours are not.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable

import numpy as np
from PIL import Image
from scipy import ndimage

SMALL = 96  # sides up to here have the constants for 64 px
SEVERITIES = 5
Corruption = Callable[[np.ndarray, int, bool, np.random.RandomState], np.ndarray]


def corrupt(image: np.ndarray, name: str, severity: int, seed: int) -> np.ndarray:
    """One image, corrupted.

    Args:
        image: (S, S, 3) uint8; its side decides which constants apply.
        name: a key of CORRUPTIONS.
        severity: 1 to 5.
        seed: of a generator of its own, 0 to 2^32 - 1.

    Returns:
        (S, S, 3) uint8.
    """
    draw = np.random.RandomState(seed)
    unit = image.astype(np.float64) / 255
    out = CORRUPTIONS[name](unit, severity - 1, image.shape[0] <= SMALL, draw)
    return np.rint(out.clip(0, 1) * 255).astype(np.uint8)


def gaussian_noise(
    image: np.ndarray, level: int, small: bool, draw: np.random.RandomState
) -> np.ndarray:
    """Normal noise."""
    scale = (
        (0.04, 0.08, 0.12, 0.15, 0.18)[level] if small else (0.08, 0.12, 0.18, 0.26, 0.38)[level]
    )
    return image + draw.normal(scale=scale, size=image.shape)


def shot_noise(
    image: np.ndarray, level: int, small: bool, draw: np.random.RandomState
) -> np.ndarray:
    """Poisson counts of light."""
    photons = (250, 100, 50, 30, 15)[level] if small else (60, 25, 12, 5, 3)[level]
    return draw.poisson(image * photons) / photons


def impulse_noise(
    image: np.ndarray, level: int, small: bool, draw: np.random.RandomState
) -> np.ndarray:
    """A share of the values becomes 0 or 1."""
    share = (
        (0.01, 0.02, 0.05, 0.08, 0.14)[level] if small else (0.03, 0.06, 0.09, 0.17, 0.27)[level]
    )
    hit, salt = draw.random_sample(image.shape) < share, draw.random_sample(image.shape) < 0.5
    return np.where(hit, salt.astype(np.float64), image)


def defocus_blur(
    image: np.ndarray, level: int, small: bool, draw: np.random.RandomState
) -> np.ndarray:
    """A disk, itself blurred a little."""
    small_disks = ((0.5, 0.6), (1.0, 0.1), (1.5, 0.1), (2.5, 0.01), (3.0, 0.1))
    radius, alias = (
        small_disks[level] if small else ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5))[level]
    )
    reach = math.ceil(radius) + 2
    across = np.arange(-reach, reach + 1)
    disk = (across[:, None] ** 2 + across**2 <= radius**2).astype(np.float64)
    near = np.arange(-2, 3) if radius > 8 else np.arange(-1, 2)
    weights = np.exp(-(near**2) / (2 * alias**2))
    for axis in (0, 1):
        disk = ndimage.correlate1d(disk, weights / weights.sum(), axis, mode="constant")
    return _filtered(image, disk, "mirror")


def motion_blur(
    image: np.ndarray, level: int, small: bool, draw: np.random.RandomState
) -> np.ndarray:
    """Half a bell curve along a line, within 45 degrees of the horizontal."""
    small_lines = ((10, 1.0), (10, 1.5), (10, 2.0), (10, 2.5), (12, 3.0))
    radius, sigma = (
        small_lines[level]
        if small
        else ((10, 3.0), (15, 5.0), (15, 8.0), (15, 12.0), (20, 15.0))[level]
    )
    angle = math.radians(draw.uniform(-45, 45))
    kernel = np.zeros((2 * radius + 3, 2 * radius + 3))
    for step in range(radius + 1):
        y, x = radius + 1 + step * math.sin(angle), radius + 1 + step * math.cos(angle)
        top, left = math.floor(y), math.floor(x)
        weight = math.exp(-(step**2) / (2 * sigma**2))
        spread = np.outer((1 - (y - top), y - top), (1 - (x - left), x - left))
        kernel[top : top + 2, left : left + 2] += weight * spread
    return _filtered(image, kernel, "nearest")


def zoom_blur(
    image: np.ndarray, level: int, small: bool, draw: np.random.RandomState
) -> np.ndarray:
    """The mean of the image and enlargements of its middle."""
    small_steps = ((1.06, 0.01), (1.11, 0.01), (1.16, 0.01), (1.21, 0.01), (1.26, 0.01))
    steps = ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03))
    end, step = (small_steps if small else steps)[level]
    factors = np.arange(1, end, step)
    side, picture = image.shape[0], Image.fromarray(np.rint(image * 255).astype(np.uint8))
    total = image.copy()
    for factor in factors:
        margin = side * (1 - 1 / factor) / 2
        box = (margin, margin, side - margin, side - margin)
        total += np.asarray(picture.resize((side, side), Image.Resampling.BILINEAR, box=box)) / 255
    return total / (len(factors) + 1)


def brightness(
    image: np.ndarray, level: int, small: bool, draw: np.random.RandomState
) -> np.ndarray:
    """Value of HSV raised, hue and saturation kept."""
    value = image.max(2, keepdims=True)
    raised = (value + (0.1, 0.2, 0.3, 0.4, 0.5)[level]).clip(0, 1)
    return np.where(value > 0, image * raised / np.where(value > 0, value, 1), raised)


def contrast(image: np.ndarray, level: int, small: bool, draw: np.random.RandomState) -> np.ndarray:
    """Nearer to each channel's mean."""
    means = image.mean((0, 1), keepdims=True)
    return (image - means) * (0.4, 0.3, 0.2, 0.1, 0.05)[level] + means


def pixelate(image: np.ndarray, level: int, small: bool, draw: np.random.RandomState) -> np.ndarray:
    """Shrunk and enlarged by box filters."""
    share = (0.9, 0.8, 0.7, 0.6, 0.5)[level] if small else (0.6, 0.5, 0.4, 0.3, 0.25)[level]
    side, picture = image.shape[0], Image.fromarray(np.rint(image * 255).astype(np.uint8))
    less = max(1, int(side * share))
    return (
        np.asarray(
            picture.resize((less, less), Image.Resampling.BOX).resize(
                (side, side), Image.Resampling.BOX
            )
        )
        / 255
    )


def jpeg_compression(
    image: np.ndarray, level: int, small: bool, draw: np.random.RandomState
) -> np.ndarray:
    """Through a JPEG file of low quality."""
    quality = (65, 58, 50, 40, 25)[level] if small else (25, 18, 15, 10, 7)[level]
    file = io.BytesIO()
    Image.fromarray(np.rint(image * 255).astype(np.uint8)).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file)) / 255


def _filtered(image: np.ndarray, kernel: np.ndarray, edge: str) -> np.ndarray:
    """Every channel correlated with a kernel scaled to sum 1."""
    kernel = kernel / kernel.sum()
    return np.stack([ndimage.correlate(image[:, :, c], kernel, mode=edge) for c in range(3)], 2)


KINDS = (
    gaussian_noise,
    shot_noise,
    impulse_noise,
    defocus_blur,
    motion_blur,
    zoom_blur,
    brightness,
    contrast,
    pixelate,
    jpeg_compression,
)
CORRUPTIONS: dict[str, Corruption] = {kind.__name__: kind for kind in KINDS}
