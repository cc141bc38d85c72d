"""`python -m seit_cl.models`: every model with a line of description."""

from __future__ import annotations

import ast
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console
from rich.table import Table

from seit_cl.core import plugins
from seit_cl.core.cli import run_command


def description(module: str) -> str:
    """First paragraph of a module's docstring, read without importing it, and torch with it."""
    found = find_spec(module)
    if found is None or found.origin is None:
        return ""
    docstring = ast.get_docstring(ast.parse(Path(found.origin).read_text(encoding="utf-8"))) or ""
    return " ".join(docstring.partition("\n\n")[0].split())


def main() -> None:
    """Print the table."""
    table = Table("model", "network", box=None, pad_edge=False)
    for name, place in sorted(plugins.names("model").items()):
        table.add_row(name, description(place.partition(":")[0]))
    console = Console()
    console.print(table)
    console.print(
        "\n--model slim_resnet18:width=32 sets an option; --model timm:vit_small_patch16_224,"
        "weights=FILE starts from a file. --init and --train go with every model.",
        highlight=False,
    )


if __name__ == "__main__":
    run_command(main)
