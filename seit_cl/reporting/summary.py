"""The summary of runs as text for people: a table for the page, and one that fits the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from seit_cl.reporting.grouping import MB
from seit_cl.reporting.loading import GROUP
from seit_cl.reporting.tables import MISSING


class NumberColumn(NamedTuple):
    """A column of numbers in the table.

    Args:
        heading: with the unit.
        factor: from the value in summary.csv to that in the table.
        decimals: of the number as text.
    """

    heading: str
    factor: float
    decimals: int


# by the name of the column in summary.csv
NUMBERS = {
    "exemplars": NumberColumn("exemplars", 1, 0),
    "bytes_per_exemplar": NumberColumn("bytes each", 1, 0),
    "final_accuracy": NumberColumn("final %", 100, 1),
    "average_incremental_accuracy": NumberColumn("average %", 100, 1),
    "forgetting": NumberColumn("forgetting, points", 100, 1),
    "backward_transfer": NumberColumn("backward transfer, points", 100, 1),
    "final_task_incremental_accuracy": NumberColumn("task-incr. %", 100, 1),
    "final_top5_accuracy": NumberColumn("top-5 %", 100, 1),
}
# Counts of replicates by heading, and the columns of summary.csv whose values are counted.
REPLICATES = {"seeds": "seed", "class orders": "class_order_seed"}
# Left out where no run has a value: streams without it, and older results.
OPTIONAL = ("final_task_incremental_accuracy", "final_top5_accuracy")
NOT_IN_TERMINAL = ("bytes_per_exemplar", "backward_transfer", *OPTIONAL)
OF_EXEMPLARS = ("exemplars", "bytes_per_exemplar")  # missing without a memory
LEAST_ROOM = 28  # letters for the names of runs beside their numbers
ALWAYS_SHOWN = ("strategy", "format", "memory_bytes")


def summary_table(df: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Format a summary with a row per group of finished runs that are replicates.

    Numbers are means ± standard deviations. Columns other than strategy, format and memory are left
    out if all rows have the same value.

    Args:
        df: as `loading.load_summary` returns it.

    Returns:
        headings, and rows of text.
    """
    variants = df.attrs.get("variants", {})
    done = df[df["status"] == "finished"].copy()
    done["options"] = [variants.get(run_id, "") for run_id in done["run_id"]]
    keys = [*GROUP, "options"]
    done[keys] = done[keys].astype(object).where(done[keys].notna(), "")
    shown = [name for name in keys if name in ALWAYS_SHOWN or done[name].nunique() > 1]
    for name in NUMBERS:
        done[name] = pd.to_numeric(done[name], errors="coerce")
    numbers = [name for name in NUMBERS if name not in OPTIONAL or done[name].notna().any()]
    counts = ["seeds"]
    if done["class_order_seed"].nunique() > 1:
        counts.append("class orders")
    rows = []
    for values, group in done.groupby(keys, sort=True):
        rows.append(_row(dict(zip(keys, values, strict=True)), group, shown, counts, numbers))
    names = ["memory, MB" if name == "memory_bytes" else name for name in shown]
    return [*names, *counts, *(NUMBERS[name].heading for name in numbers)], rows


def _row(
    values: dict[str, Any],
    group: pd.DataFrame,
    shown: Sequence[str],
    counts: Sequence[str],
    numbers: Sequence[str],
) -> list[str]:
    """Format a row of the table: the values in the columns shown, the replicates, and numbers."""
    budget = float(values["memory_bytes"] or 0)
    values = {**values, "memory_bytes": f"{budget / MB:.4g}"}
    cells = [str(values[name]) or MISSING for name in shown]
    cells += [str(group[REPLICATES[heading]].nunique()) for heading in counts]
    for name in numbers:
        if budget == 0 and name in OF_EXEMPLARS:
            cells.append(MISSING)
        else:
            cells.append(_number(group[name], NUMBERS[name]))
    return cells


def _number(values: pd.Series, column: NumberColumn) -> str:
    """Format a mean ± standard deviation.

    The latter is left out for a single value, and for counts that are all the same.
    """
    numbers = column.factor * values.to_numpy(dtype=float)
    numbers = numbers[~np.isnan(numbers)]
    if numbers.size == 0:
        return MISSING
    decimals = column.decimals
    text = f"{numbers.mean():,.{decimals}f}"
    same_counts = decimals == 0 and numbers.min() == numbers.max()
    if numbers.size == 1 or same_counts:
        return text
    return f"{text} ± {numbers.std(ddof=1):,.{decimals}f}"


def terminal_summary(df: pd.DataFrame, console: Console | None = None) -> None:
    """Print the table of `summary_table`, then the runs that are not finished.

    Args:
        df: as `loading.load_summary` returns it; `results.summary.rebuild_summary`'s will do if
            runs differ by nothing but their seeds.
        console: with 80 columns or more; standard output by default.
    """
    console = console or Console()
    headings, rows = summary_table(df)
    if rows:
        _print_table(headings, rows, console)
        console.print()
    for status, text in (("running", "not finished"), ("failed", "failed")):
        ids = [str(run_id) for run_id in df.loc[df["status"] == status, "run_id"]]
        separator = " " if len(ids) == 1 else "\n  "
        if ids:
            line = f"{len(ids)} {text}:{separator}{separator.join(ids)}"
            console.print(line, markup=False, highlight=False, soft_wrap=True)


def _print_table(headings: list[str], rows: list[list[str]], console: Console) -> None:
    """Lay the table out for a terminal, and print it.

    Bytes each, backward transfer, task-incremental and top-5 accuracy are left out, and so are the
    seeds if all rows have as many and no two class orders: they go to the title. If the table is
    wider than the terminal, names share one column that does not repeat itself; if that is left
    little room, a name stands on a line of its own, above its numbers.
    """
    seeds = headings.index("seeds")
    counts = sorted({row[seeds] for row in rows})
    hidden = {NUMBERS[name].heading for name in NOT_IN_TERMINAL}
    several_orders = "class orders" in headings
    if len(counts) == 1 and not several_orders:
        hidden.add("seeds")
    names = []
    numbers = []
    for i, heading in enumerate(headings):
        if i < seeds and not heading.startswith("memory"):
            names.append(i)
        elif heading not in hidden:
            numbers.append(i)
    title = _terminal_title(counts, several_orders)
    if _text_width([headings, *rows], names + numbers) <= console.width:
        console.print(_table(title, headings, rows, names, numbers))
        return
    narrow = [_narrow_row(row, names, numbers) for row in rows]
    narrow_headings = ["run", *(headings[i] for i in numbers)]
    number_columns = list(range(1, len(narrow_headings)))
    room = console.width - _text_width([*_heading_lines(narrow_headings), *narrow], number_columns)
    if room < min(LEAST_ROOM, max(len(row[0]) for row in narrow)):
        if title:
            console.print(title, markup=False, highlight=False)
        for line in _stacked_lines(narrow_headings, narrow, console.width):
            console.print(line, markup=False, highlight=False, soft_wrap=True)
        return
    previous = ""
    for cells in narrow:
        name = cells[0]
        cells[0] = name if name != previous else ""
        previous = name
    console.print(_table(title, narrow_headings, narrow, [0], number_columns))


def _table(
    title: str | None,
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    names: Sequence[int],
    numbers: Sequence[int],
) -> Table:
    """The table of some columns: names on the left, numbers right-justified."""
    table = Table(
        title=title,
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        collapse_padding=True,
    )
    for i in names:
        table.add_column(headings[i].replace(", ", "\n"), overflow="fold")
    for i in numbers:
        heading = headings[i].replace(", ", "\n")
        table.add_column(heading, justify="right", no_wrap=True, overflow="fold")
    for row in rows:
        table.add_row(*(escape(row[i]) for i in (*names, *numbers)))
    return table


def _heading_lines(headings: Sequence[str]) -> list[list[str]]:
    """Headings in two lines, the unit below; one that has none stands in the lower line."""
    upper, lower = [], []
    for heading in headings:
        first, _, unit = heading.partition(", ")
        upper.append(first if unit else "")
        lower.append(unit or first)
    return [upper, lower]


def _stacked_lines(headings: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[str]:
    """Lines with a name above its numbers.

    Args:
        headings: of the name, and of the numbers.
        rows: of the table.
        width: of the terminal; the last columns of numbers are left out where they do not fit.
    """
    head = _heading_lines(headings)
    columns = list(range(1, len(headings)))
    while len(columns) > 1 and _text_width([*head, *rows], columns) > width:
        columns.pop()
    widths = [_column_width([*head, *rows], i) for i in columns]

    def numbers_of(row: Sequence[str]) -> str:
        return "".join(f"  {row[i]:>{size}}" for i, size in zip(columns, widths, strict=True))

    lines = [*map(numbers_of, head), "─" * len(numbers_of(head[0]))]
    previous = ""
    for row in rows:
        if row[0] != previous:
            lines.append(row[0])
        previous = row[0]
        lines.append(numbers_of(row))
    return lines


def _narrow_row(row: Sequence[str], names: Sequence[int], numbers: Sequence[int]) -> list[str]:
    """The names of a row in one cell, without those that are missing, and its numbers."""
    told = [row[i] for i in names if row[i] != MISSING]
    return [" · ".join(told), *(row[i] for i in numbers)]


def _text_width(rows: Sequence[Sequence[str]], columns: Sequence[int]) -> int:
    """The width of some columns in letters, with two spaces after each."""
    return sum(_column_width(rows, i) + 2 for i in columns)


def _column_width(rows: Sequence[Sequence[str]], column: int) -> int:
    """The longest text of a column, in letters."""
    return max(len(row[column]) for row in rows)


def _terminal_title(counts: Sequence[str], several_orders: bool) -> str | None:
    """The title of the terminal's table; None for one seed.

    Args:
        counts: the numbers of seeds behind the rows, each once.
        several_orders: True if the runs have several class orders.
    """
    if several_orders:
        return "mean ± standard deviation over seeds and class orders"
    if counts == ["1"]:
        return None
    seeds = f"{counts[0]} seeds" if len(counts) == 1 else "seeds"
    return f"mean ± standard deviation over {seeds}"
