"""`python -m seit_cl.scenarios`: list every scenario, or count what a dataset has for each."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro
from rich.console import Console
from rich.table import Table

from seit_cl.config import RunConfig
from seit_cl.core import plugins
from seit_cl.core.cli import hint, parse_line, program, run_command
from seit_cl.core.errors import UserError
from seit_cl.core.outlines import read_plugins
from seit_cl.data.scenario_recipe import build_recipe, preset_text

if TYPE_CHECKING:
    from seit_cl.data.base import Dataset

COLUMNS = ("scenario", "classes", "experiences", "images", "stream", "source")
FILE_WIDTH = 240  # characters of a line when the output is no terminal
PRESET_HINT = (
    "\nimages are train + val. --scenario NAME:option=value sets an option of a scenario, "
    "--preset takes its recommendations for options that are not given:"
)


@dataclass(frozen=True)
class ListOptions:
    """List the scenarios."""

    data_root: Annotated[
        Path | None, hint("data to count in: an image folder or a token file; none: as published")
    ] = None
    debug: Annotated[bool, hint("show tracebacks of user errors")] = False


@dataclass(frozen=True)
class Outline:
    """The text about a scenario.

    Args:
        row: a row of COLUMNS.
        options: its spec with all options, and its preset; "" where it has neither.
    """

    row: tuple[str, ...]
    options: str


def outline(key: str) -> Outline:
    """Describe a scenario as published."""
    name = key.replace("_", "-")
    recipe = build_recipe(name)
    experiences = str(recipe.experiences or "the data's")
    row = (name, recipe.classes, experiences, recipe.images, recipe.stream, recipe.source)
    options = option_text(recipe.options)
    preset = preset_text(recipe.preset)
    spec = f"{name}:{options}" if options else name
    return Outline(row, f"{spec}  {preset}".rstrip() if options or preset else "")


def counted_rows(root: Path) -> tuple[list[tuple[str, ...]], dict[str, UserError]]:
    """Count what each scenario shows of a dataset.

    Args:
        root: the dataset.

    Returns:
        A row of the first four COLUMNS for every scenario that fits, and the reason for every other
        one, by name.

    Raises:
        UserError: none fits.
    """
    from seit_cl.experiment.run_data import (
        list_dataset,  # with torch, only where images are counted
    )

    rows: list[tuple[str, ...]] = []
    problems: dict[str, UserError] = {}
    # Most scenarios share one layout, and listing a large folder takes seconds.
    datasets: dict[Any, Dataset] = {}
    for name in scenario_names():
        layout = type(build_recipe(name)).list_dataset
        try:
            if layout not in datasets:
                datasets[layout] = list_dataset(RunConfig(data_root=root, scenario=name))
            rows.append((name, *counts(name, datasets[layout])))
        except UserError as error:
            problems[name] = error
    if not rows:
        raise next(iter(problems.values()))
    return rows, problems


def counts(name: str, whole: Dataset) -> tuple[str, str, str]:
    """Numbers of classes, experiences and images that a scenario shows of a dataset.

    Raises:
        UserError: the scenario does not fit the dataset.
    """
    import torch

    recipe = build_recipe(name)
    dataset = recipe.select(whole)
    scenario = recipe.cut(dataset, RunConfig(scenario=name).resolved_stream(len(dataset.classes)))
    train = len(torch.cat(scenario.train).unique())
    val = len(torch.cat(scenario.test).unique())
    return f"{len(scenario.class_order):,}", str(len(scenario)), f"{train:,} + {val:,}"


def scenario_names() -> list[str]:
    """Names of all scenarios, as typed on the command line."""
    return sorted(name.replace("_", "-") for name in plugins.names("scenario"))


def option_text(options: Any) -> str:
    """Options of a scenario with their values, as in a spec."""
    return ",".join(f"{name}={value}" for name, value in vars(options).items())


def print_table(
    columns: tuple[str, ...], rows: Iterable[tuple[str, ...]], console: Console
) -> None:
    """Print rows in columns."""
    table = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    console.print(table)


def main() -> None:
    """Run the command."""
    options = parse_line(lambda: tyro.cli(ListOptions, prog=program("scenarios")))
    width = None if sys.stdout.isatty() else FILE_WIDTH
    console = Console(highlight=False, markup=False, width=width)
    if options.data_root is None:
        outlines = read_plugins("scenario", outline).values()
        print_table(COLUMNS, [each.row for each in outlines], console)
        console.print(PRESET_HINT, soft_wrap=True)
        for each in outlines:
            if each.options:
                console.print(f"  {each.options}", soft_wrap=True)
        return
    rows, problems = counted_rows(options.data_root)
    print_table(COLUMNS[:4], rows, console)
    for name, error in problems.items():
        console.print(f"{name} does not fit: {error}", soft_wrap=True)


if __name__ == "__main__":
    run_command(main)
