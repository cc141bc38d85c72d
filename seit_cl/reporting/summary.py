"""The summary of runs as text for people: a table for the page, and one that fits the terminal."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from seit_cl.reporting.loading import GROUP

# column of summary.csv -> heading, factor, decimals
NUMBERS = {
    "exemplars": ("exemplars", 1, 0),
    "bytes_per_exemplar": ("bytes each", 1, 0),
    "final_accuracy": ("final %", 100, 1),
    "average_incremental_accuracy": ("average %", 100, 1),
    "forgetting": ("forgetting, points", 100, 1),
}


def summary_table(df: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of text for people: finished runs, a row per group of seeds, mean ± standard deviation.

    Columns that are the same everywhere (dataset, scenario, learner) are left out, but for strategy, format, memory.
    """
    done = df[df["status"] == "finished"].copy()
    done["options"] = [df.attrs.get("variants", {}).get(name, "") for name in done["run_id"]]
    by = [*GROUP, "options"]
    done[by] = done[by].astype(object).where(done[by].notna(), "")
    keep = [c for c in by if c in ("strategy", "format", "memory_bytes") or done[c].nunique() > 1]
    for column in NUMBERS:
        done[column] = pd.to_numeric(done[column], errors="coerce")
    rows = []
    for key, group in done.groupby(by, sort=True):
        known: dict[str, Any] = dict(zip(by, key, strict=True))
        known["memory_bytes"] = f"{float(known['memory_bytes'] or 0) / 1e6:.4g}"
        without = known["memory_bytes"] == "0"
        cells = [str(known[c]) or "–" for c in keep] + [str(group["seed"].nunique())]
        for column, (_, factor, digits) in NUMBERS.items():
            blank = without and column in ("exemplars", "bytes_per_exemplar")
            cells.append("–" if blank else _number(group[column], factor, digits))
        rows.append(cells)
    names = ["memory, MB" if c == "memory_bytes" else c for c in keep]
    return [*names, "seeds", *(heading for heading, _, _ in NUMBERS.values())], rows


def _number(values: pd.Series, factor: float, digits: int) -> str:
    """Mean ± standard deviation; the latter is left out for one value, and for counts that are all the same."""
    numbers = factor * values.to_numpy(dtype=float)
    numbers = numbers[~np.isnan(numbers)]
    if not numbers.size:
        return "–"
    text = f"{numbers.mean():,.{digits}f}"
    spread = len(numbers) > 1 and (digits > 0 or numbers.min() < numbers.max())
    return f"{text} ± {numbers.std(ddof=1):,.{digits}f}" if spread else text


def terminal_summary(df: pd.DataFrame, console: Console | None = None) -> None:
    """Prints the table of `summary_table` for 80 columns and up, then which runs are not finished.

    Args:
        df: as `load_summary` returns it (`rebuild_summary`'s will do where runs differ by nothing but seeds).
        console: where to print; standard output by default.
    """
    console = console or Console()
    headings, rows = summary_table(df)
    if rows:
        console.print(_terminal_table(headings, rows, console.width))
        console.print()
    for status, word in (("running", "not finished"), ("failed", "failed")):
        ids = df.loc[df["status"] == status, "run_id"].tolist()
        if ids:
            console.print(
                f"{len(ids)} {word}: {', '.join(map(str, ids))}", markup=False, highlight=False
            )


def _terminal_table(headings: list[str], rows: list[list[str]], width: int) -> Table:
    """The rows without bytes each; where they are wider than `width`, with all text in one column, said once."""
    seeds = headings.index("seeds")
    counts = sorted({row[seeds] for row in rows})
    hidden = {NUMBERS["bytes_per_exemplar"][0], *(["seeds"] if len(counts) == 1 else [])}
    numeric = [
        i
        for i, h in enumerate(headings)
        if (i >= seeds or h.startswith("memory")) and h not in hidden
    ]
    text = [i for i, h in enumerate(headings) if i < seeds and not h.startswith("memory")]
    if sum(max(len(row[i]) for row in [headings, *rows]) + 2 for i in text + numeric) <= width:
        columns, body = text + numeric, [[row[i] for i in text + numeric] for row in rows]
    else:
        names = [" · ".join(row[i] for i in text if row[i] != "–") for row in rows]
        first = [name if k == 0 or name != names[k - 1] else "" for k, name in enumerate(names)]
        columns, body = (
            [-1, *numeric],
            [[f, *(row[i] for i in numeric)] for f, row in zip(first, rows, strict=True)],
        )
    over = (
        "" if counts == ["1"] else f" over {counts[0]} seeds" if len(counts) == 1 else " over seeds"
    )
    title = f"mean ± standard deviation{over}" if over else None
    table = Table(
        title=title, box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True
    )
    for i in columns:
        heading = "run" if i < 0 else headings[i].replace(", ", "\n")
        right = i in numeric
        table.add_column(
            heading, justify="right" if right else "left", no_wrap=right, overflow="fold"
        )
    for cells in body:
        table.add_row(*map(escape, cells))
    return table
