"""Exemplar formats, one file each; `build_format` builds one from its spec."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seit_cl.core import plugins
from seit_cl.core.lazy import lazy_names
from seit_cl.core.specs import Spec, canonical_text
from seit_cl.results.renamed import present_spec

if TYPE_CHECKING:
    from seit_cl.formats.base import ExemplarFormat, FormatContext
else:
    __getattr__ = lazy_names(__name__, {"ExemplarFormat": "base", "FormatContext": "base"})

__all__ = [
    "ExemplarFormat",
    "FormatContext",
    "build_format",
    "canonical_spec",
    "check_format_name",
    "format_class",
    "format_domain",
]


def check_format_name(spec: str) -> None:
    """Refuse the spec of an unknown format, without importing any format.

    Raises:
        UserError: the message lists the nearest names.
    """
    plugins.place("format", _parse(spec).name)


def canonical_spec(spec: str) -> str:
    """Write a spec with every option, the same text for all equivalent specs.

    Raises:
        UserError: an unknown format or option, or a value of the wrong type.
    """
    parsed = _parse(spec)
    options = parsed.fill(format_class(spec).Options)
    return canonical_text(parsed.key, options)


def build_format(spec: str, context: FormatContext) -> ExemplarFormat:
    """Build a format from its spec, e.g. "jpeg:quality=30,size=64".

    Args:
        spec: name and options.
        context: properties of the run that the format needs.

    Raises:
        UserError: an unknown format or option, or a value that the format refuses.
    """
    built: ExemplarFormat = plugins.build("format", _parse(spec), context)
    return built


def format_class(spec: str) -> type[Any]:
    """Load the class of a format, without building it.

    Raises:
        UserError: an unknown format.
    """
    found: type[Any] = plugins.load("format", _parse(spec).name)
    return found


def format_domain(spec: str) -> str:
    """Domain of a format's decoded exemplars, "pixels" or "tokens", without building it.

    Raises:
        UserError: an unknown format.
    """
    return str(format_class(spec).domain)


def _parse(text: str) -> Spec:
    """Read a spec and make its argument part of the name: "jpeg:original" is jpeg_original.

    Raises:
        UserError: an option is not "key=value" or is given twice.
    """
    spec = Spec.parse(present_spec(str(Spec.parse(text))))
    name = Spec(f"{spec.name}_{spec.argument}").key
    if spec.argument and name in plugins.names("format"):
        return Spec(name, options=spec.options)
    return spec
