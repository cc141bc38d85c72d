"""`python -m seit_cl.strategies`: every strategy with its paper, what it keeps, and its settings."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from seit_cl.core import plugins
from seit_cl.core.cli import run_command
from seit_cl.core.specs import NoOptions, argument_label
from seit_cl.learner.strategy import Strategy

SHOWN_CLASSES = 100  # that bytes of extras are given for


def exemplars(kind: type[Strategy]) -> str:
    """What it keeps in the memory."""
    if kind.exemplar_free:
        return "none"
    extra = sum(spec.nbytes for spec in kind.exemplar_fields(kind(None), SHOWN_CLASSES).values())
    return f"records + {extra} B each" if extra else "records"


def settings(kind: type[Strategy]) -> str:
    """Hyperparameters with their defaults."""
    return (
        ", ".join(f"{name}={value}" for name, value in vars(kind.Options()).items())
        if kind.Options is not NoOptions
        else ""
    )


def rows() -> list[tuple[str, str, str, str, str]]:
    """Name, paper, exemplars, what counts as strategy_bytes, settings."""
    found = []
    for name in sorted(plugins.names("strategy")):
        kind: Any = plugins.load("strategy", name)
        kept = ", ".join(kind.state_attributes).replace("_", " ")
        argument = argument_label(kind.Options)
        if argument:
            found.append(
                (
                    f"{name}:<{argument}>",
                    kind.paper,
                    f"the {argument}'s",
                    kept,
                    f"the {argument}'s",
                )
            )
        else:
            found.append((name, kind.paper, exemplars(kind), kept, settings(kind)))
    return found


def main() -> None:
    """The command."""
    table = Table(
        "strategy", "paper", "exemplars", "strategy_bytes", "settings", box=None, pad_edge=False
    )
    for row in rows():
        table.add_row(*row)
    console = Console()
    console.print(table)
    console.print(
        f"\nBytes of extras are for {SHOWN_CLASSES} classes. --strategy derpp:alpha=0.1,beta=1 sets settings."
    )


if __name__ == "__main__":
    run_command(main)
