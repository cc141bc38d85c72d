"""Descriptions of plugins by their files' docstrings, for lists that import no plugin."""

from __future__ import annotations

import ast
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console
from rich.table import Table

from seit_cl.core import plugins


def print_descriptions(kind: str, title: str, note: str) -> None:
    """Print a table of the plugins of a kind.

    Args:
        kind: a key of `plugins.KINDS`.
        title: of the column of descriptions.
        note: printed below the table.
    """
    table = Table(kind, title, box=None, pad_edge=False)
    for name, place in sorted(plugins.names(kind).items()):
        table.add_row(name, description(place.partition(":")[0]))
    console = Console()
    console.print(table)
    console.print(f"\n{note}", highlight=False)


def description(module: str) -> str:
    """First paragraph of a module's docstring, read without importing the module."""
    found = find_spec(module)
    if found is None or found.origin is None:
        return ""
    docstring = ast.get_docstring(ast.parse(Path(found.origin).read_text(encoding="utf-8"))) or ""
    return " ".join(docstring.partition("\n\n")[0].split())
