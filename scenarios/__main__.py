"""`python -m seit_cl.scenarios`: every scenario with its classes, experiences, images and source; of a folder, those it has."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro
from rich.console import Console
from rich.table import Table

from seit_cl.config import RunConfig
from seit_cl.core import plugins
from seit_cl.core.cli import hint, parse_line, run_command
from seit_cl.core.errors import UserError
from seit_cl.data.base import Dataset
from seit_cl.data.scenario import build_scenario, written
from seit_cl.experiment.run_data import list_dataset

COLUMNS = ("scenario", "classes", "experiences", "images", "stream", "source")
FILE_WIDTH = 240  # characters, where a file or a pipe takes the table


@dataclass(frozen=True)
class Listing:
    """List the scenarios."""

    data_root: Annotated[
        Path | None, hint("data to count in: an image folder or a token file; none: as published")
    ] = None
    debug: Annotated[bool, hint("show tracebacks of user errors")] = False


def published() -> Iterator[tuple[str, ...]]:
    """A row of COLUMNS for every scenario."""
    for name in names():
        kind = build_scenario(name)
        yield (
            name,
            kind.classes,
            str(kind.experiences or "the data's"),
            kind.images,
            kind.shape,
            kind.source,
        )


def counted(root: Path) -> list[tuple[str, ...]]:
    """A row of the first four of COLUMNS for every scenario, of the data at root; or its name and why it does not fit.

    Raises:
        UserError: none fits.
    """
    rows: list[tuple[str, ...]] = []
    problems, listings = [], dict[Any, Dataset]()
    for name in names():
        layout = type(
            build_scenario(name)
        ).listed  # most share one, and a large folder takes seconds
        try:
            if layout not in listings:
                listings[layout] = list_dataset(RunConfig(data_root=root, scenario=name))
            rows.append((name, *counts(name, listings[layout])))
        except UserError as error:
            problems.append(error)
            rows.append((name, str(error)))
    if len(problems) == len(rows):
        raise problems[0]
    return rows


def counts(name: str, whole: Dataset) -> tuple[str, str, str]:
    """Classes, experiences and images of a scenario cut of a dataset.

    Raises:
        UserError: it does not fit.
    """
    config, kind = RunConfig(scenario=name), build_scenario(name)
    dataset = kind.select(whole)
    stream = kind.cut(dataset, config.cut)
    train, val = (len(torch.cat(parts).unique()) for parts in (stream.train, stream.test))
    return f"{len(stream.class_order):,}", str(len(stream)), f"{train:,} + {val:,}"


def names() -> list[str]:
    """Of every scenario, as on the command line."""
    return sorted(name.replace("_", "-") for name in plugins.names("scenario"))


def settings(values: Any) -> str:
    """Options of a scenario with their defaults."""
    return ",".join(f"{name}={value}" for name, value in vars(values).items())


def print_table(
    columns: tuple[str, ...], rows: Iterable[tuple[str, ...]], console: Console
) -> None:
    """Rows in columns."""
    table = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    console.print(table)


def main() -> None:
    """The command."""
    options = parse_line(lambda: tyro.cli(Listing, prog="python -m seit_cl.scenarios"))
    console = Console(
        highlight=False, markup=False, width=None if sys.stdout.isatty() else FILE_WIDTH
    )
    if options.data_root is not None:
        rows = list(counted(options.data_root))
        print_table(COLUMNS[:4], (row for row in rows if len(row) > 2), console)
        for name, why in (row for row in rows if len(row) == 2):
            console.print(f"{name} does not fit: {why}", soft_wrap=True)
        return
    print_table(COLUMNS, published(), console)
    console.print(
        "\nimages are train + val. --scenario NAME:option=value sets an option of a scenario, --preset takes what it "
        "recommends for options that are not given:",
        soft_wrap=True,
    )
    for name in names():
        kind = build_scenario(name)
        own, preset = settings(kind.options), written(kind.preset)
        if own or preset:
            line = f"  {name}{':' if own else ''}{own}" + (f"  {preset}" if preset else "")
            console.print(line, soft_wrap=True)


if __name__ == "__main__":
    run_command(main)
