"""How a spec such as "jpeg:quality=30,size=64" is read: a name, a word where the name allows one ("avalanche:MASPlugin"),
and options that fill a frozen dataclass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from seit_cl.core.errors import UserError, nearest


@dataclass(frozen=True)
class NoOptions:
    """Options of a plugin that has none."""


def split_spec(spec: str) -> tuple[str, str, dict[str, str]]:
    """Split "avalanche:MASPlugin,alpha=0.5" into name, bare word after the colon ("" where there is none) and options.

    Raises:
        UserError: an option without "=" or given twice.
    """
    name, _, rest = spec.partition(":")
    first, _, options = rest.partition(",")
    word, options = ("", rest) if "=" in first else (first, options)
    return name, word, parse_spec(f"{name}:{options}")[1]


def parse_spec(spec: str) -> tuple[str, dict[str, str]]:
    """Split "jpeg:quality=30,size=64" into its name and options.

    Raises:
        UserError: an option without "=" or given twice.
    """
    name, _, rest = spec.partition(":")
    options: dict[str, str] = {}
    for part in filter(None, rest.split(",")):
        key, equals, value = part.partition("=")
        if not equals or key in options:
            raise UserError(
                f"{spec!r}: option {part!r} is not key=value or is given twice; write {name}:key=value,key=value"
            )
        options[key.replace("-", "_")] = value
    return name, options


def fill_options(cls: type[Any], spec: str, given: dict[str, str]) -> Any:
    """Build the frozen dataclass of options `cls` from strings.

    Raises:
        UserError: an unknown option, or a value of the wrong type.
    """
    known = {f.name: f for f in fields(cls)}
    values: dict[str, Any] = {}
    for key, text in given.items():
        if key not in known:
            raise UserError(
                f"{spec!r}: unknown option {key!r}; {nearest(key, known) if known else 'it has no options'}"
            )
        kind: Callable[[str], Any] = type(known[key].default)
        try:
            values[key] = kind(text)
        except ValueError:
            wanted = getattr(kind, "WORDS", f"of type {kind.__name__}")
            raise UserError(f"{spec!r}: {key}={text!r} is not {wanted}") from None
    return cls(**values)
