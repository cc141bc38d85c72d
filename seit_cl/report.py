"""Figures, tables and report.html of an output folder, from result files only: python -m seit_cl.report DIR"""

from __future__ import annotations

import argparse
import base64
import io
import json
import shlex
import sys
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import matplotlib
import pandas as pd
import yaml
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from seit_cl import plugins
from seit_cl.errors import UserError
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
    runs = read_runs(out)
    figures, failures = _figures(runs, out / "figures")
    template = (files("seit_cl.reports") / "report.html.j2").read_text(encoding="utf-8")
    page = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(template)
    headings, rows = summary_table(summary)
    html = page.render(
        name=out.resolve().name,
        headings=headings,
        rows=rows,
        figures=figures,
        failures=failures,
        runs=[_describe(run) for run in runs],
        counts=summary["status"].value_counts().to_dict(),
    )
    write_atomic(out / "report.html", html)
    return out / "report.html"


def load_summary(out: Path) -> pd.DataFrame:
    """The summary of a folder that must hold runs.

    Raises:
        UserError: out is no folder, holds no run, or is a run's own folder.
    """
    if (out / "config.yaml").is_file():
        raise UserError(f"{out}: the folder of a single run; give the folder above it, {out.resolve().parent}")
    if out.is_dir() and not any(out.glob("*/config.yaml")):
        raise UserError(f"{out}: no runs in this folder; give the --out folder of python -m seit_cl.run")
    return rebuild_summary(out)


def summary_table(df: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of text for people: finished runs, a row per group of seeds, mean ± standard deviation.

    Columns that are the same everywhere (dataset, scenario, learner) are left out, strategy, format and memory kept.
    """
    done = df[df["status"] == "finished"].copy()
    done[GROUP] = done[GROUP].astype(object).where(done[GROUP].notna(), "")
    keep = [c for c in GROUP if c in ("strategy", "format", "memory_bytes") or done[c].nunique() > 1]
    names = ["memory, MB" if c == "memory_bytes" else c for c in keep]
    rows = []
    for key, group in done.groupby(GROUP, sort=True):
        known = dict(zip(GROUP, key, strict=True))
        known["memory_bytes"] = f"{float(known['memory_bytes'] or 0) / 1e6:.4g}" if known["memory_bytes"] else "none"
        cells = [str(known[c]) or "–" for c in keep] + [str(group["seed"].nunique())]
        rows.append(cells + [_number(group[c], factor, digits) for c, (_, factor, digits) in NUMBERS.items()])
    return [*names, "seeds", *(heading for heading, _, _ in NUMBERS.values())], rows


def _number(values: pd.Series, factor: float, digits: int) -> str:
    numbers = pd.to_numeric(values, errors="coerce").dropna() * factor
    if numbers.empty:
        return "–"
    text = f"{numbers.mean():,.{digits}f}"
    return f"{text} ± {numbers.std(ddof=1):,.{digits}f}" if len(numbers) > 1 else text


def terminal_summary(df: pd.DataFrame, console: Console | None = None) -> None:
    """Prints the table of `summary_table`, then how many runs are not finished.

    Args:
        df: as `seit_cl.results.rebuild_summary` returns it.
        console: where to print; standard output by default.
    """
    console = console or Console()
    headings, rows = summary_table(df)
    table = Table(title="mean ± standard deviation over seeds")
    numeric = len(headings) - len(NUMBERS) - 1
    for i, heading in enumerate(headings):
        table.add_column(heading, justify="right" if i >= numeric or heading.startswith("memory") else "left")
    for row in rows:
        table.add_row(*row)
    if rows:
        console.print(table)
    for status in ("running", "failed"):
        ids = df.loc[df["status"] == status, "run_id"].tolist()
        if ids:
            word = "not finished" if status == "running" else "failed"
            console.print(f"{len(ids)} {word}: {', '.join(map(str, ids))}", markup=False, highlight=False)


def _figures(runs: list[Run], folder: Path) -> tuple[list[dict[str, str]], list[str]]:
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
            shown.append({"name": report.name, "title": report.title, "svg": base64.b64encode(saved[1]).decode()})
    return shown, failures


def _render(figure: Figure, kind: str) -> bytes:
    """The figure as a PNG or SVG file; the same bytes for the same runs."""
    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "seit_cl"}):
        metadata: dict[str, Any] = {"Date": None} if kind == "svg" else {}
        figure.savefig(buffer, format=kind, dpi=160, facecolor="white", metadata=metadata)
    return buffer.getvalue()


def _describe(run: Run) -> dict[str, Any]:
    """What the page shows of one run."""
    command = run.environment.get("command", "")
    environment = {k: v for k, v in run.environment.items() if k != "command"}
    return {
        "id": run.run_id,
        "status": run.status,
        "problem": run.problem,
        "command": shlex.join(map(str, command)) if isinstance(command, list) else str(command),
        "config": yaml.safe_dump(run.config, sort_keys=False, allow_unicode=True),
        "environment": json.dumps(environment, indent=1, ensure_ascii=False),
        "facts": json.dumps(run.facts, indent=1, ensure_ascii=False),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m seit_cl.report", description=__doc__.split(":")[0] + ".")
    parser.add_argument("dir", type=Path, metavar="DIR", help="the --out folder of earlier runs")
    options = parser.parse_args(argv)
    try:
        page = build_report(options.dir)
        terminal_summary(load_summary(options.dir))
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    print(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
