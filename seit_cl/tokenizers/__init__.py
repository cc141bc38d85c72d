"""Tokenizers: one file for each kind, found by name. `open_tokenizer` makes one from its spec."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError, safe_open

from seit_cl.core import plugins
from seit_cl.core.errors import UserError
from seit_cl.core.specs import Spec
from seit_cl.data.token_file import KIND as TOKENS
from seit_cl.tokenizers.base import Tokenizer, TokenizerKind

__all__ = ["Tokenizer", "TokenizerKind", "open_tokenizer", "resolved_spec"]

DEFAULT_TOKENIZER = "bundled"


def open_tokenizer(spec: str = DEFAULT_TOKENIZER) -> Tokenizer:
    """Build a tokenizer from its spec, on the CPU.

    Args:
        spec: "kind", "kind:SOURCE,option=value", or a safetensors file that says which kind it is of.

    Raises:
        UserError: an unknown kind or option, or a source that the kind refuses.
    """
    tokenizer: Tokenizer = plugins.build("tokenizer", _parse(spec))
    return tokenizer


def _parse(spec: str) -> Spec:
    """Read a spec; the path of a tokenizer file is the argument of its kind.

    Raises:
        UserError: an option that is not "key=value" or is given twice, or an unreadable file.
    """
    return Spec(kind_of_file(Path(spec)), spec) if _is_file(spec) else Spec.parse(spec)


def _is_file(spec: str) -> bool:
    """Whether a spec is a tokenizer file's path rather than a kind's name."""
    named = ":" not in spec and ("/" in spec or spec.endswith(".safetensors"))
    return named or Path(spec).is_file()


def kind_of_file(path: Path) -> str:
    """The kind that a tokenizer file says it is of; those of the bundled kind need not say it.

    Raises:
        UserError: no such file, not a safetensors file, or one of tokens.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            kind = str((file.metadata() or {}).get("kind", DEFAULT_TOKENIZER))
    except (OSError, SafetensorError) as error:
        raise UserError(
            f"{path}: not a readable tokenizer file ({type(error).__name__}); train one with "
            "python -m seit_cl.tokenize train --data-root DIR --out FILE.safetensors"
        ) from error
    if kind == TOKENS:
        raise UserError(
            f"{path}: holds tokens and not the tokenizer that made them; give it as --data-root"
        )
    return kind


def resolved_spec(spec: str) -> str:
    """The spec with the path of a file or folder made absolute, so that it means the same from elsewhere."""
    if _is_file(spec):
        return str(Path(spec).resolve())
    parsed = Spec.parse(spec)
    if parsed.argument and Path(parsed.argument).exists():
        start = f"{parsed.name}:{parsed.argument}"
        return spec.replace(start, f"{parsed.name}:{Path(parsed.argument).resolve()}", 1)
    return spec
