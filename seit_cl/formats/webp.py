"""Lossy WebP: smaller than JPEG at low quality, with a short header."""

from __future__ import annotations

from seit_cl.formats._webp import LossyWebpFormat


class WebpFormat(LossyWebpFormat):
    """WebP files, encoded with libwebp's slowest and densest method, without metadata."""

    name = "webp"


FORMAT = WebpFormat
