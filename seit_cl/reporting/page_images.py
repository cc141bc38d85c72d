"""Figures inside report.html: small PNG files and compressed SVG files, as base64."""

from __future__ import annotations

import base64
import gzip
import io
from collections.abc import Sequence
from typing import Any

from PIL import Image

from seit_cl.reporting.figures import FigureFiles

MAX_FIGURE_BYTES = 4_000_000  # of a page, which stays below 5 MB with hundreds of runs
PNG_COLOURS = 128  # for lines and bands: no visible difference, and a third of the bytes
CSS_DPI = 96
PNG_WIDTH = 2_000  # pixels; the SVG serves larger screens


def embed_figures(figures: Sequence[FigureFiles]) -> list[dict[str, Any]]:
    """Prepare figures for the page, in their order, until MAX_FIGURE_BYTES are used.

    Returns:
        name, title and caption of each figure, width and height in pixels, "natural" for the width
        at which its text has its own size, and the base64 text of "png" and "svg"; these are ""
        where the page would grow too large.
    """
    bytes_left = MAX_FIGURE_BYTES
    result = []
    for figure in figures:
        png, width, height = _small_png(figure.files["png"])
        svg = gzip.compress(figure.files["svg"], mtime=0)
        entry: dict[str, Any] = {
            "name": figure.name,
            "title": figure.title,
            "caption": figure.caption,
            "width": width,
            "height": height,
            "natural": natural_width(figure.files["png"]),
        }
        for suffix, data in (("png", png), ("svg", svg)):
            text = to_base64(data)
            if len(text) > bytes_left:
                text = ""
            bytes_left -= len(text)
            entry[suffix] = text
        result.append(entry)
    return result


def natural_width(png: bytes) -> int:
    """The width in CSS pixels, of which an inch has 96, of a PNG that says its resolution."""
    image = Image.open(io.BytesIO(png))
    dots_per_inch = float(image.info.get("dpi", (CSS_DPI, CSS_DPI))[0])
    return round(image.width * CSS_DPI / dots_per_inch)


def to_base64(data: bytes) -> str:
    """Bytes as base64 text."""
    return base64.b64encode(data).decode()


def _small_png(data: bytes) -> tuple[bytes, int, int]:
    """Reduce a PNG to PNG_COLOURS colours and at most PNG_WIDTH pixels.

    Returns:
        the new file, its width and its height.
    """
    image = Image.open(io.BytesIO(data)).convert("RGB")
    if image.width > PNG_WIDTH:
        height = round(image.height * PNG_WIDTH / image.width)
        image = image.resize((PNG_WIDTH, height), Image.Resampling.LANCZOS)
    few_colours = image.quantize(PNG_COLOURS, dither=Image.Dither.NONE)
    buffer = io.BytesIO()
    few_colours.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue(), image.width, image.height
