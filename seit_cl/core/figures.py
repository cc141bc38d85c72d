"""Texts of figures: names of users are no formulas, and their letters need fonts."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from seit_cl.core.notes import note

# Families with letters of Chinese, Japanese and Korean, of common systems.
CJK_FAMILIES = (
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans CJK KR", "Source Han Sans SC"),
    *("WenQuanYi Zen Hei", "WenQuanYi Micro Hei", "Droid Sans Fallback", "Unifont"),
    *("Hiragino Sans", "PingFang SC", "Apple SD Gothic Neo", "Arial Unicode MS"),
    *("Microsoft YaHei", "Yu Gothic", "Malgun Gothic", "SimHei"),
)
MISSING_LETTER = re.compile(r"Glyph \d+ .* missing from")


@contextmanager
def literal_text() -> Iterator[None]:
    """Draw texts inside as they are; matplotlib reads formulas between two dollars otherwise.

    A name such as "$x^{$" would end a whole report. Ticks of logarithmic axes need a formatter
    without formulas.

    Letters that the usual font lacks are taken from an installed one for Chinese, Japanese and
    Korean. Without such a font they are boxes, and one note says so.
    """
    import matplotlib  # commands list their options without it

    families = ["DejaVu Sans", *_installed_families()]
    parameters: Any = {"text.parse_math": False, "font.family": families}
    with warnings.catch_warnings(record=True) as caught, matplotlib.rc_context(parameters):
        warnings.simplefilter("default")
        yield
    missing = False
    for warning in caught:
        if MISSING_LETTER.match(str(warning.message)):
            missing = True
        else:
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )
    if missing:
        note(
            "figures: names have letters that no installed font has, drawn as boxes; install a "
            "font that has them, such as fonts-noto-cjk"
        )


@cache
def _installed_families() -> tuple[str, ...]:
    """The families of CJK_FAMILIES that are installed."""
    from matplotlib.font_manager import fontManager

    installed = {font.name for font in fontManager.ttflist}
    return tuple(name for name in CJK_FAMILIES if name in installed)
