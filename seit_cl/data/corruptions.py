"""Corruptions of images in five severities, after ImageNet-C.

Hendrycks and Dietterich, "Benchmarking neural network robustness to common corruptions and
perturbations", ICLR 2019. The constants are those of the authors' published scripts
(create_c/make_imagenet_c.py for 224 px and create_c/make_tinyimagenet_c.py for 64 px); the
arithmetic is our own, with results rounded instead of truncated. Motion blur is a kernel here and
ImageMagick's there. Their images are saved as JPEG afterwards; ours are not.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable

import numpy as np
from PIL import Image
from scipy import ndimage

SMALL = 96  # pixels; sides up to this use the constants for 64 px
SEVERITIES = 5
Corruption = Callable[[np.ndarray, int, bool, np.random.RandomState], np.ndarray]


def corrupt(image: np.ndarray, name: str, severity: int, seed: int) -> np.ndarray:
    """Corrupt one image.

    Args:
        image: (S, S, 3) uint8; the side decides which constants apply.
        name: a key of CORRUPTIONS.
        severity: 1 to 5.
        seed: seed of a separate generator, 0 to 2^32 - 1.

    Returns:
        (S, S, 3) uint8.
    """
    generator = np.random.RandomState(seed)
    unit = image.astype(np.float64) / 255
    out = CORRUPTIONS[name](unit, severity - 1, image.shape[0] <= SMALL, generator)
    return np.rint(out.clip(0, 1) * 255).astype(np.uint8)


# Each corruption takes an image (S, S, 3) float64 in [0, 1], the severity as a level from 0 to 4,
# True for a small image, and a generator. It returns an image of the same shape.


def gaussian_noise(
    image: np.ndarray, level: int, small: bool, generator: np.random.RandomState
) -> np.ndarray:
    """Add normal noise."""
    scales = (0.04, 0.08, 0.12, 0.15, 0.18) if small else (0.08, 0.12, 0.18, 0.26, 0.38)
    return image + generator.normal(scale=scales[level], size=image.shape)


def shot_noise(
    image: np.ndarray, level: int, small: bool, generator: np.random.RandomState
) -> np.ndarray:
    """Replace values by Poisson counts of photons."""
    photons = (250, 100, 50, 30, 15) if small else (60, 25, 12, 5, 3)
    return generator.poisson(image * photons[level]) / photons[level]


def impulse_noise(
    image: np.ndarray, level: int, small: bool, generator: np.random.RandomState
) -> np.ndarray:
    """Replace a share of the values by 0 or 1."""
    shares = (0.01, 0.02, 0.05, 0.08, 0.14) if small else (0.03, 0.06, 0.09, 0.17, 0.27)
    replaced = generator.random_sample(image.shape) < shares[level]
    salt = generator.random_sample(image.shape) < 0.5
    return np.where(replaced, salt.astype(np.float64), image)


def defocus_blur(
    image: np.ndarray, level: int, small: bool, generator: np.random.RandomState
) -> np.ndarray:
    """Correlate with a disk that is slightly blurred itself."""
    disks = ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5))
    small_disks = ((0.5, 0.6), (1.0, 0.1), (1.5, 0.1), (2.5, 0.01), (3.0, 0.1))
    radius, alias = small_disks[level] if small else disks[level]
    reach = math.ceil(radius) + 2
    across = np.arange(-reach, reach + 1)
    disk = (across[:, None] ** 2 + across**2 <= radius**2).astype(np.float64)
    near = np.arange(-2, 3) if radius > 8 else np.arange(-1, 2)
    weights = np.exp(-(near**2) / (2 * alias**2))
    for axis in (0, 1):
        disk = ndimage.correlate1d(disk, weights / weights.sum(), axis, mode="constant")
    return _correlate(image, disk, "mirror")


def motion_blur(
    image: np.ndarray, level: int, small: bool, generator: np.random.RandomState
) -> np.ndarray:
    """Smear along a line within 45 degrees of the horizontal, weighted by half a bell curve."""
    lines = ((10, 3.0), (15, 5.0), (15, 8.0), (15, 12.0), (20, 15.0))
    small_lines = ((10, 1.0), (10, 1.5), (10, 2.0), (10, 2.5), (12, 3.0))
    radius, sigma = small_lines[level] if small else lines[level]
    angle = math.radians(generator.uniform(-45, 45))
    kernel = np.zeros((2 * radius + 3, 2 * radius + 3))
    for distance in range(radius + 1):
        y = radius + 1 + distance * math.sin(angle)
        x = radius + 1 + distance * math.cos(angle)
        top = math.floor(y)
        left = math.floor(x)
        weight = math.exp(-(distance**2) / (2 * sigma**2))
        spread = np.outer((1 - (y - top), y - top), (1 - (x - left), x - left))
        kernel[top : top + 2, left : left + 2] += weight * spread
    return _correlate(image, kernel, "nearest")


def zoom_blur(
    image: np.ndarray, level: int, small: bool, generator: np.random.RandomState
) -> np.ndarray:
    """Average the image and enlargements of its centre."""
    zooms = ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03))
    small_zooms = ((1.06, 0.01), (1.11, 0.01), (1.16, 0.01), (1.21, 0.01), (1.26, 0.01))
    end, increment = small_zooms[level] if small else zooms[level]
    factors = np.arange(1, end, increment)
    side = image.shape[0]
    picture = _to_pil(image)
    total = image.copy()
    for factor in factors:
        margin = side * (1 - 1 / factor) / 2
        box = (margin, margin, side - margin, side - margin)
        total += np.asarray(picture.resize((side, side), Image.Resampling.BILINEAR, box=box)) / 255
    return total / (len(factors) + 1)


def brightness(
    image: np.ndarray, level: int, small: bool, generator: np.random.RandomState
) -> np.ndarray:
    """Raise the value of HSV at constant hue and saturation."""
    value = image.max(2, keepdims=True)
    raised = (value + (0.1, 0.2, 0.3, 0.4, 0.5)[level]).clip(0, 1)
    return np.where(value > 0, image * raised / np.where(value > 0, value, 1), raised)


def contrast(
    image: np.ndarray, level: int, small: bool, generator: np.random.RandomState
) -> np.ndarray:
    """Move every value towards its channel's mean."""
    means = image.mean((0, 1), keepdims=True)
    return (image - means) * (0.4, 0.3, 0.2, 0.1, 0.05)[level] + means


def pixelate(
    image: np.ndarray, level: int, small: bool, generator: np.random.RandomState
) -> np.ndarray:
    """Shrink and enlarge with box filters."""
    shares = (0.9, 0.8, 0.7, 0.6, 0.5) if small else (0.6, 0.5, 0.4, 0.3, 0.25)
    side = image.shape[0]
    small_side = max(1, int(side * shares[level]))
    shrunk = _to_pil(image).resize((small_side, small_side), Image.Resampling.BOX)
    return np.asarray(shrunk.resize((side, side), Image.Resampling.BOX)) / 255


def jpeg_compression(
    image: np.ndarray, level: int, small: bool, generator: np.random.RandomState
) -> np.ndarray:
    """Encode as a JPEG of low quality and decode it."""
    qualities = (65, 58, 50, 40, 25) if small else (25, 18, 15, 10, 7)
    file = io.BytesIO()
    _to_pil(image).save(file, "JPEG", quality=qualities[level])
    return np.asarray(Image.open(file)) / 255


def _to_pil(image: np.ndarray) -> Image.Image:
    """An image (S, S, 3) in [0, 1] as a PIL image."""
    return Image.fromarray(np.rint(image * 255).astype(np.uint8))


def _correlate(image: np.ndarray, kernel: np.ndarray, edge: str) -> np.ndarray:
    """Correlate every channel with a kernel that is scaled to sum 1."""
    kernel = kernel / kernel.sum()
    return np.stack([ndimage.correlate(image[:, :, c], kernel, mode=edge) for c in range(3)], 2)


CORRUPTIONS: dict[str, Corruption] = {
    corruption.__name__: corruption
    for corruption in (
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
}
