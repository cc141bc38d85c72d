"""Exemplar formats: one file each, found by name. `build_format` makes one from its spec."""

from __future__ import annotations

from typing import Any

from seit_cl.core import plugins
from seit_cl.core.specs import fill_options, parse_spec, split_spec
from seit_cl.formats.base import ExemplarFormat, FormatContext

__all__ = ["ExemplarFormat", "FormatContext", "build_format", "canonical_spec"]


def canonical_spec(spec: str) -> str:
    """The spec with every option written out, the same for all ways to write it.

    Raises:
        UserError: an unknown format or option, or a value of the wrong type.
    """
    name, given = _split(spec)
    options = fill_options(plugins.load("format", name).Options, spec, given)
    return f"{name}:{','.join(f'{key}={value}' for key, value in sorted(vars(options).items()))}"


def build_format(spec: str, context: FormatContext) -> ExemplarFormat:
    """The format of a spec such as "jpeg:quality=30,size=64".

    Args:
        spec: name and options.
        context: what the format must know beside them.

    Raises:
        UserError: an unknown format or option, or a value that the format refuses.
    """
    name, given = _split(spec)
    cls: Any = plugins.load("format", name)
    built: ExemplarFormat = cls(fill_options(cls.Options, spec, given), context)
    return built


def _split(spec: str) -> tuple[str, dict[str, str]]:
    """Name and options; a bare word after the colon is part of the name: "jpeg:original" is the format jpeg_original.

    Raises:
        UserError: an option without "=" or given twice.
    """
    kind, word, given = split_spec(spec)
    name = f"{kind}_{word}".replace("-", "_")
    return (name, given) if word and name in plugins.names("format") else parse_spec(spec)
