"""summary.csv: one row per run of an output folder, rebuilt from the run folders."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from seit_cl.core.csv_text import csv_text
from seit_cl.core.errors import UserError
from seit_cl.core.files import write_atomic
from seit_cl.results.anytime import ANYTIME_METRICS
from seit_cl.results.metrics import METRICS
from seit_cl.results.names import METADATA_NAMES, SUMMARY_COLUMNS, YOUNGER_COLUMNS
from seit_cl.results.run_files import Run, read_runs


def summary_row(run: Run) -> dict[str, Any]:
    """Return a run's row of summary.csv: metadata and metrics, nan while it is not finished."""
    row: dict[str, Any] = {"run_id": run.run_id}
    for name in METADATA_NAMES:
        row[name] = run.get(name)
    for name, default in YOUNGER_COLUMNS.items():
        row[name] = run.get(name, default)
    for name, metric in METRICS.items():
        row[name] = metric(run.accuracy) if run.status == "finished" else math.nan
    for name, metric in ANYTIME_METRICS.items():
        has_tests = run.status == "finished" and not run.anytime.empty
        row[name] = metric(run.anytime) if has_tests else math.nan
    row["status"] = run.status
    return row


def summarise(runs: Iterable[Run]) -> pd.DataFrame:
    """Return SUMMARY_COLUMNS with a row per run."""
    return pd.DataFrame([summary_row(run) for run in runs], columns=list(SUMMARY_COLUMNS))


def rebuild_summary(out: Path) -> pd.DataFrame:
    """Write out/summary.csv from the run folders in out, ordered by run_id.

    Returns:
        The same table; damaged and unfinished runs are in it with their status.

    Raises:
        UserError: out is no folder.
    """
    if not out.is_dir():
        raise UserError(f"{out}: no such folder; give the --out folder of earlier runs")
    table = summarise(read_runs(out))
    write_atomic(out / "summary.csv", csv_text(table))
    return table
