"""`python -m seit_cl.strategies`: every strategy with its paper, its state and its settings."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from seit_cl.core import plugins
from seit_cl.core.cli import program, run_command
from seit_cl.core.descriptions import description
from seit_cl.core.errors import UserError, nearest
from seit_cl.core.outlines import read_plugins
from seit_cl.core.specs import NoOptions, argument_label

if TYPE_CHECKING:
    from seit_cl.learner.strategy import Strategy

SHOWN_CLASSES = 100  # number of classes that the bytes of exemplar fields are shown for
COLUMNS = ("strategy", "paper", "exemplars", "strategy_bytes", "settings")


def exemplars(kind: type[Strategy]) -> str:
    """Contents of an exemplar in the memory."""
    from seit_cl.learner.strategy import StrategyContext

    if kind.exemplar_free:
        return "none"
    fields = kind(kind.Options(), StrategyContext()).exemplar_fields(SHOWN_CLASSES)
    extra_bytes = sum(spec.nbytes for spec in fields.values())
    return f"records + {extra_bytes} B each" if extra_bytes else "records"


def settings(kind: type[Strategy]) -> str:
    """Hyperparameters with their defaults."""
    if kind.Options is NoOptions:
        return ""
    return ", ".join(f"{name}={value}" for name, value in vars(kind.Options()).items())


def row(name: str) -> tuple[str, str, str, str, str]:
    """A strategy's cells of COLUMNS."""
    kind: type[Strategy] = plugins.load("strategy", name)
    state = ", ".join(kind.state_attributes).replace("_", " ")
    argument = argument_label(kind.Options)
    if argument:
        of_argument = f"as the {argument}"
        return f"{name}:<{argument}>", kind.paper, of_argument, state, of_argument
    return name, kind.paper, exemplars(kind), state, settings(kind)


def print_one(name: str) -> None:
    """Print the description of a strategy's file and its cells of COLUMNS, one a line.

    Raises:
        UserError: there is no strategy of that name.
    """
    places = plugins.names("strategy")
    if name not in places:
        raise UserError(f"strategy {name!r}: unknown; {nearest(name, places)}")
    console = Console(soft_wrap=True, highlight=False, markup=False)
    console.print(description(places[name].partition(":")[0]))
    for title, cell in zip(COLUMNS, read_plugins("strategy", row)[name], strict=True):
        if cell:
            console.print(f"{title.replace('_', ' ')}: {cell}")


def main() -> None:
    """Print the table, or one strategy of it.

    Raises:
        UserError: there is no strategy of the name given.
    """
    parser = argparse.ArgumentParser(prog=program("strategies"), description=__doc__)
    parser.add_argument("name", nargs="?", help="a strategy, to show it alone")
    name = parser.parse_args().name
    if name:
        print_one(name.partition(":")[0])
        return
    table = Table(*COLUMNS, box=None, pad_edge=False)
    for cells in read_plugins("strategy", row).values():
        table.add_row(*cells)
    console = Console()
    console.print(table)
    console.print(
        f"\nBytes of exemplars are for {SHOWN_CLASSES} classes. "
        "--strategy derpp:alpha=0.1,beta=1 sets settings."
    )


if __name__ == "__main__":
    run_command(main)
