"""Facts that lists show of plugins, as values that JSON can hold. Imports no library."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any

from seit_cl.core import plugins
from seit_cl.core.outlines import read_plugins

SIMPLE = (str, int, float, bool, tuple)


def facts(kind: str, name: str) -> dict[str, Any]:
    """Class attributes with simple values, and the defaults of the options, as text."""
    plugin: Any = plugins.load(kind, name)
    attributes: dict[str, str] = {}
    for owner in reversed(plugin.__mro__):
        for key, value in vars(owner).items():
            if isinstance(value, SIMPLE) and not key.startswith("_"):
                attributes[key] = f"{value}"
    options: dict[str, str] = {}
    for option in fields(plugin.Options):
        options[option.name] = "" if option.default is MISSING else f"{option.default}"
    return {"doc": plugin.__doc__, "attributes": attributes, "options": options}


def outlines_of_all() -> dict[str, dict[str, Any]]:
    """Facts of every plugin of every kind, read from their outlines."""
    return {kind: _outlines(kind) for kind in plugins.KINDS}


def _outlines(kind: str) -> dict[str, Any]:
    return read_plugins(kind, lambda name: facts(kind, name))
