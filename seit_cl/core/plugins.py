"""Discovery: a file in formats/, tokenizers/, strategies/, scenarios/ or reports/ is a plugin; so is an installed entry point.

A plugin file is named after the plugin ("er_ace.py" is "er-ace" and "er_ace") and carries one module-level name, e.g.
FORMAT, TOKENIZER, STRATEGY, SCENARIO or REPORT, that holds the plugin itself.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from seit_cl.core.errors import UserError, nearest

KINDS = {
    "format": ("seit_cl.formats", "FORMAT"),
    "tokenizer": ("seit_cl.tokenizers", "TOKENIZER"),
    "strategy": ("seit_cl.strategies", "STRATEGY"),
    "scenario": ("seit_cl.scenarios", "SCENARIO"),
    "report": ("seit_cl.reports", "REPORT"),
}


@cache
def names(kind: str) -> dict[str, str]:
    """Plugin name -> "module:attribute", without importing any plugin.

    Args:
        kind: a key of KINDS.

    Raises:
        UserError: two plugins have one name.
    """
    package, attribute = KINDS[kind]
    folder = importlib.import_module(package)
    found = {}
    for module in pkgutil.iter_modules(folder.__path__):
        if not module.ispkg and module.name != "base" and not module.name.startswith("_"):
            found[module.name] = f"{package}.{module.name}:{attribute}"
    for entry in entry_points(group=package):
        if entry.name in found:
            raise UserError(
                f"{kind} {entry.name!r} exists twice: {found[entry.name]} and {entry.value}; rename one"
            )
        found[entry.name] = entry.value
    return found


def load(kind: str, name: str) -> Any:
    """The plugin of that kind and name.

    Raises:
        UserError: no such plugin; the message lists the nearest names.
    """
    known = names(kind)
    key = name.replace("-", "_")
    if key not in known:
        raise UserError(f"unknown {kind} {name!r}; {nearest(name, known)}")
    module, _, attribute = known[key].partition(":")
    return getattr(importlib.import_module(module), attribute)
