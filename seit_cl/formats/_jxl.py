"""Shared parts of the JPEG XL formats: the package that has libjxl, and the scale of qualities."""

from __future__ import annotations

from types import ModuleType

from seit_cl.core.errors import UserError


def jxl_codec(needed_by: str) -> ModuleType:
    """Import imagecodecs, which brings libjxl, under the licence BSD-3-Clause.

    Args:
        needed_by: name of the format.

    Raises:
        UserError: the package is not installed.
    """
    try:
        import imagecodecs
    except ImportError:
        raise UserError(
            f"{needed_by}: JPEG XL needs another package; pip install 'seit_cl[jxl]'"
        ) from None
    return imagecodecs


def distance_of(quality: int) -> float:
    """Butteraugli distance of a quality, as cjxl and libjxl's JxlEncoderDistanceFromQuality.

    Args:
        quality: 0..100; 100 is lossless, distance 0.
    """
    if quality >= 30:
        return 0.1 + (100 - quality) * 0.09 if quality < 100 else 0.0
    return 53 / 3000 * quality**2 - 23 / 20 * quality + 25
