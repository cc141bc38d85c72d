"""Types and sizes of what a token file says about itself, checked before they are used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from seit_cl.core.limits import LONGEST_SIDE, MOST_CLASSES, MOST_CODES


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_text, value)) and len(value) <= MOST_CLASSES


def _are_notes(value: object) -> bool:
    return isinstance(value, dict) and all(map(_is_text, value.values()))


def _is_stride(value: object) -> bool:
    return type(value) is int and 1 <= value <= LONGEST_SIDE


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < 2**63


# Name of an entry of `TokenMetadata` -> its check, and what it must be.
_ENTRIES: Mapping[str, tuple[Callable[[object], bool], str]] = {
    "name": (_is_text, "a text"),
    "classes": (_are_texts, "a list of texts"),
    "combine": (lambda value: value in ("sum", "concat"), "sum or concat"),
    "stride": (_is_stride, "a number of pixels"),
    "tokenizer": (_is_text, "a text"),
    "codec_bytes": (_is_count, "a number of bytes"),
    "notes": (_are_notes, "texts by name"),
}


def check_entries(entries: Mapping[str, Any]) -> None:
    """Check the plain entries of a token file's metadata.

    Raises:
        ValueError: naming the one of another type.
        KeyError: one is missing.
    """
    for name, (is_right, expected) in _ENTRIES.items():
        if not is_right(entries[name]):
            raise ValueError(f"{name} is not {expected}")
    if len(set(entries["classes"])) < len(entries["classes"]):
        raise ValueError("two classes have one name")


def check_tables(codebook: Tensor, mirror: Tensor | None, synonyms: Tensor | None) -> None:
    """Check the tables of codes.

    Args:
        codebook: (G, K, D) float32.
        mirror: (G, K) int64 codes; None where there is none.
        synonyms: (K, S) int16 codes, padded with -1; None where there is none.

    Raises:
        ValueError: naming the one of another shape or type, or with other codes.
    """
    if codebook.ndim != 3 or codebook.dtype != torch.float32 or codebook.shape[1] > MOST_CODES:
        raise ValueError(f"the codebook is {codebook.dtype} of {tuple(codebook.shape)}")
    if not bool(codebook.isfinite().all()):
        raise ValueError("the codebook has numbers that are not finite")
    groups, codes, _ = codebook.shape
    if mirror is not None and not _are_codes(mirror, torch.int64, (groups, codes), 0, codes):
        raise ValueError("the table of mirrored codes does not fit the codebook")
    if synonyms is not None:
        shape = (codes, synonyms.shape[-1] if synonyms.ndim == 2 else 0)
        if not _are_codes(synonyms, torch.int16, shape, -1, codes):
            raise ValueError("the table of synonyms does not fit the codebook")


def _are_codes(
    table: Tensor, dtype: torch.dtype, shape: tuple[int, ...], first: int, codes: int
) -> bool:
    """Return True for a table of a type and shape with codes from `first` to below `codes`."""
    if table.dtype != dtype or tuple(table.shape) != shape:
        return False
    return table.numel() == 0 or (int(table.min()) >= first and int(table.max()) < codes)
