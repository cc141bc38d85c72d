"""Figures, tables and report.html of an output folder, from result files only: python -m seit_cl.report DIR"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import matplotlib
import pandas as pd
from matplotlib.figure import Figure
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from seit_cl import plugins
from seit_cl.errors import UserError
from seit_cl.reports._page import render_page
from seit_cl.results import Run, read_runs, rebuild_summary, write_atomic

GROUP = ["dataset", "scenario", "strategy", "learner", "format", "memory_bytes"]
# column of summary.csv -> heading, factor, decimals
NUMBERS = {
    "exemplars": ("exemplars", 1, 0),
    "bytes_per_exemplar": ("bytes each", 1, 0),
    "final_accuracy": ("final %", 100, 1),
    "average_incremental_accuracy": ("average %", 100, 1),
    "forgetting": ("forgetting, points", 100, 1),
}


def build_report(out: Path) -> Path:
    """Writes summary.csv, figures/*.png and *.svg and report.html into out, replacing earlier ones.

    Returns:
        the path of report.html.

    Raises:
        UserError: out is no folder, holds no run, or is a run's own folder.
    """
    summary = load_summary(out)
    runs = mark_variants(read_runs(out))
    figures, failures = _figures(runs, out / "figures")
    html = render_page(out.resolve().name, runs, summary, summary_table(summary), NUMBERS, figures, failures)
    write_atomic(out / "report.html", html)
    return out / "report.html"


def load_summary(out: Path) -> pd.DataFrame:
    """The summary (`seit_cl.results.rebuild_summary`) of a folder that must hold runs.

    Returns:
        SUMMARY_COLUMNS; its attrs["variants"] tells apart runs that differ by more than the seed (`mark_variants`).

    Raises:
        UserError: out is no folder, holds no run, or is a run's own folder.
    """
    if (out / "config.yaml").is_file():
        raise UserError(f"{out}: the folder of a single run; give the folder above it, {out.resolve().parent}")
    if out.is_dir() and not any(out.glob("*/config.yaml")):
        raise UserError(f"{out}: no runs in this folder; give the --out folder of python -m seit_cl.run")
    table = rebuild_summary(out)
    table.attrs["variants"] = {run.run_id: run.variant for run in mark_variants(read_runs(out))}
    return table


def mark_variants(runs: list[Run]) -> list[Run]:
    """Sets `variant`, as "epochs=5", on runs whose like, seed and all, is there twice with other options.

    Without it, runs of a grid over any further option would be averaged as if they were seeds.
    """
    twins: dict[tuple[Any, ...], list[Run]] = {}
    for run in runs:
        if run.status == "finished":
            twins.setdefault(tuple(run.fact(name) for name in (*GROUP, "seed")), []).append(run)
    options = set()
    for group in twins.values():
        names = {name for run in group for name in run.config}
        options |= {name for name in names if len({repr(run.config.get(name)) for run in group}) > 1}
    for run in runs:
        run.variant = ", ".join(f"{name}={run.config.get(name)}" for name in sorted(options))
    return runs


def summary_table(df: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of text for people: finished runs, a row per group of seeds, mean ± standard deviation.

    Columns that are the same everywhere (dataset, scenario, learner) are left out, but for strategy, format, memory.
    """
    done = df[df["status"] == "finished"].copy()
    done["options"] = [df.attrs.get("variants", {}).get(name, "") for name in done["run_id"]]
    by = [*GROUP, "options"]
    done[by] = done[by].astype(object).where(done[by].notna(), "")
    keep = [c for c in by if c in ("strategy", "format", "memory_bytes") or done[c].nunique() > 1]
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
    numbers = pd.to_numeric(values, errors="coerce").dropna() * factor
    if numbers.empty:
        return "–"
    text = f"{numbers.mean():,.{digits}f}"
    spread = len(numbers) > 1 and (digits > 0 or numbers.nunique() > 1)
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
            console.print(f"{len(ids)} {word}: {', '.join(map(str, ids))}", markup=False, highlight=False)


def _terminal_table(headings: list[str], rows: list[list[str]], width: int) -> Table:
    """The rows without bytes each; where they are wider than `width`, with all text in one column, said once."""
    seeds = headings.index("seeds")
    counts = sorted({row[seeds] for row in rows})
    hidden = {NUMBERS["bytes_per_exemplar"][0], *(["seeds"] if len(counts) == 1 else [])}
    numeric = [i for i, h in enumerate(headings) if (i >= seeds or h.startswith("memory")) and h not in hidden]
    text = [i for i, h in enumerate(headings) if i < seeds and not h.startswith("memory")]
    if sum(max(len(row[i]) for row in [headings, *rows]) + 2 for i in text + numeric) <= width:
        columns, body = text + numeric, [[row[i] for i in text + numeric] for row in rows]
    else:
        names = [" · ".join(row[i] for i in text if row[i] != "–") for row in rows]
        first = [name if k == 0 or name != names[k - 1] else "" for k, name in enumerate(names)]
        columns, body = [-1, *numeric], [[f, *(row[i] for i in numeric)] for f, row in zip(first, rows, strict=True)]
    over = "" if counts == ["1"] else f" over {counts[0]} seeds" if len(counts) == 1 else " over seeds"
    title = f"mean ± standard deviation{over}" if over else None
    table = Table(title=title, box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    for i in columns:
        heading = "run" if i < 0 else headings[i].replace(", ", "\n")
        right = i in numeric
        table.add_column(heading, justify="right" if right else "left", no_wrap=right, overflow="fold")
    for cells in body:
        table.add_row(*map(escape, cells))
    return table


def _figures(runs: list[Run], folder: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """Draws and saves every report's figure; one that fails is named and does not stop the rest."""
    folder.mkdir(exist_ok=True)
    shown, failures = [], []
    for name in sorted(plugins.names("report")):
        report = plugins.load("report", name)
        try:
            figure = report.make(runs)
            saved = None if figure is None else (_render(figure, "png"), _render(figure, "svg"))
        except Exception as error:  # a plugin may raise anything
            failures.append(f"{name}: {type(error).__name__}: {error}")
            saved = None
        for suffix, data in zip(("png", "svg"), saved or (None, None), strict=True):
            path = folder / f"{report.name}.{suffix}"
            if data is None:
                path.unlink(missing_ok=True)
            else:
                write_atomic(path, data)
        if saved:
            shown.append({"name": report.name, "title": report.title, "png": saved[0], "svg": saved[1]})
    return shown, failures


def _render(figure: Figure, kind: str) -> bytes:
    """The figure as a PNG or SVG file; the same bytes for the same runs."""
    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "seit_cl"}):
        metadata: dict[str, Any] = {"Date": None} if kind == "svg" else {}
        figure.savefig(buffer, format=kind, dpi=160, facecolor="white", metadata=metadata)
    return buffer.getvalue()


class _Parser(argparse.ArgumentParser):
    """Bad arguments become one line, as in the other commands."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; give the --out folder of earlier runs")


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = _Parser(prog="python -m seit_cl.report", description=__doc__.split(":")[0] + ".")
    parser.add_argument("dir", type=Path, metavar="DIR", help="the --out folder of earlier runs")
    try:
        out = parser.parse_args(argv).dir
        page = build_report(out)
        terminal_summary(load_summary(out))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        problem = f"{error.filename or 'the report'}: {error.strerror or error}"
        print(f"error: {problem}; the report needs a folder it can write", file=sys.stderr)
        return 2
    print(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
