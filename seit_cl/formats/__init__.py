"""Exemplar formats: one file each, found by name. `build_format` makes one from its spec."""

from __future__ import annotations

from seit_cl import plugins
from seit_cl.formats.base import ExemplarFormat, FormatContext, Records, fill_options, parse_spec

__all__ = ["ExemplarFormat", "FormatContext", "Records", "build_format"]


def build_format(spec: str, context: FormatContext) -> ExemplarFormat:
    """The format of a spec such as "jpeg:quality=30,size=64".

    Args:
        spec: name and options.
        context: what the format must know beside them.

    Raises:
        UserError: an unknown format or option, or a value that the format refuses.
    """
    name, given = parse_spec(spec)
    cls = plugins.load("format", name)
    built: ExemplarFormat = cls(fill_options(cls.Options, spec, given), context)
    return built
