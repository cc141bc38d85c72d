"""Tokenizers: one file for each kind, found by name; `open_tokenizer` builds one from its spec."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from seit_cl.core import plugins
from seit_cl.core.errors import UserError, one_line
from seit_cl.core.lazy import lazy_names
from seit_cl.core.specs import Spec

if TYPE_CHECKING:
    from seit_cl.tokenizers.base import Tokenizer, TokenizerKind
else:
    __getattr__ = lazy_names(__name__, {"Tokenizer": "base", "TokenizerKind": "base"})

__all__ = ["Tokenizer", "TokenizerKind", "open_tokenizer", "resolved_spec"]

DEFAULT_TOKENIZER = "bundled"


def open_tokenizer(spec: str = DEFAULT_TOKENIZER) -> Tokenizer:
    """Build a tokenizer from its spec, on the CPU.

    Args:
        spec: "kind", "kind:SOURCE,option=value", or the path of a tokenizer file, which states its
            kind.

    Raises:
        UserError: an unknown kind or option, or a source that the kind refuses.
    """
    try:
        tokenizer: Tokenizer = plugins.build("tokenizer", _parse(spec))
    except OSError as error:  # a name of thousands of letters, for instance
        raise UserError(
            f"{spec[:100]!r}: cannot be opened ({one_line(error)}); give a kind or a file"
        ) from error
    return tokenizer


def _parse(spec: str) -> Spec:
    """Read a spec; the path of a tokenizer file becomes the argument of its kind.

    Raises:
        UserError: an option that is not "key=value" or is given twice, or an unreadable file.
    """
    if _is_file(spec):
        return Spec(kind_of_file(Path(spec)), spec)
    return Spec.parse(spec)


def _is_file(spec: str) -> bool:
    """Return True where a spec is the path of a tokenizer file, not a kind's name."""
    looks_like_path = ":" not in spec and ("/" in spec or spec.endswith(".safetensors"))
    return looks_like_path or os.path.isfile(spec)  # of any length


def kind_of_file(path: Path) -> str:
    """Read the kind of a tokenizer file from its metadata; without an entry it is the bundled kind.

    Raises:
        UserError: no such file, a damaged one, not a safetensors file, or a token file.
    """
    # These import torch, which a command line is read without.
    from safetensors import SafetensorError, safe_open

    from seit_cl.core.digests import is_sealed
    from seit_cl.data.token_file import KIND as TOKEN_FILE
    from seit_cl.tokenizers.base import DAMAGED, unreadable

    try:
        is_sealed(path, DAMAGED)
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise unreadable(path, error) from error
    kind = str(metadata.get("kind", DEFAULT_TOKENIZER))
    if kind == TOKEN_FILE:
        raise UserError(
            f"{path}: holds tokens and not the tokenizer that made them; give it as --data-root"
        )
    return kind


def resolved_spec(spec: str) -> str:
    """Make the path of a file or folder in a spec absolute, for use from any working directory."""
    if _is_file(spec):
        return str(Path(spec).resolve())
    parsed = Spec.parse(spec)
    if parsed.argument and os.path.exists(parsed.argument):
        start = f"{parsed.name}:{parsed.argument}"
        return spec.replace(start, f"{parsed.name}:{Path(parsed.argument).resolve()}", 1)
    return spec
