"""Pack the per-class answers of published runs, and check published tables against them.

    python -m studies.archive DIR [DIR ...] --out docs/results/NAME    pack finished runs
    python -m studies.archive --out docs/results/NAME                  check what was packed

NAME-summary.csv has a row per run: the columns of summary.csv, and every further option in which
the runs differ. NAME-accuracy.csv.xz has the rows of all accuracy.csv files with the run_id in
front, and `pandas.read_csv` reads it as it is. Every metric of the summary follows from it.
"""

from __future__ import annotations

import lzma
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import tyro

from seit_cl.core.cli import hint, parse_line, run_command
from seit_cl.core.errors import UserError
from seit_cl.core.files import write_atomic
from seit_cl.reporting.loading import NO_VARIANT
from seit_cl.results.metrics import METRICS
from seit_cl.results.names import ACCURACY_COLUMNS, OPTIONAL_COLUMNS
from seit_cl.results.run_files import Run, read_runs
from seit_cl.results.summary import summarise

COLUMNS = ("run_id", *ACCURACY_COLUMNS)
TOLERANCE = 1e-12  # of a metric: sums of whole numbers, divided
MAX_EXPERIENCES = 100_000  # a larger index of an experience is damage, not a result
LINE_END = "\n"


@dataclass(frozen=True)
class Options:
    """Options of the archive."""

    out: Annotated[Path, hint("beginning of the names of both files")]
    folders: Annotated[tyro.conf.Positional[tuple[Path, ...]], hint("--out folders of runs")] = ()


def summary_path(out: Path) -> Path:
    """Return the path of the table with a row per run."""
    return out.with_name(f"{out.name}-summary.csv")


def accuracy_path(out: Path) -> Path:
    """Return the path of the packed rows of all accuracy.csv files."""
    return out.with_name(f"{out.name}-accuracy.csv.xz")


# ---------------------------------------------------------------- packing
def finished_runs(folders: Sequence[Path]) -> tuple[list[Run], list[str]]:
    """Read the finished runs of result folders.

    Args:
        folders: each with run folders; of several, the folder's name is put before the run_id.

    Returns:
        The runs, and a line for every run that is left out.

    Raises:
        UserError: a folder without a finished run, or two folders with one name.
    """
    runs = []
    left_out = []
    for folder in folders:
        found = read_runs(folder)
        finished = [run for run in found if run.status == "finished"]
        if not finished:
            raise UserError(f"{folder}: no finished run; give the --out folder of earlier runs")
        for run in found:
            if run.status != "finished":
                left_out.append(f"{run.run_id}: left out, {run.problem or run.status}")
        name = Path(os.path.abspath(folder)).name  # of a link, not of what it leads to
        if len(folders) > 1:
            for run in finished:
                run.run_id = f"{name}/{run.run_id}"
        runs += finished
    names = [run.run_id for run in runs]
    if len(set(names)) < len(names):
        raise UserError(f"{folders[-1]}: two folders of one name; rename one")
    return runs, left_out


def differing_options(runs: Sequence[Run]) -> pd.DataFrame:
    """Return the options in which runs differ and that their summary lacks, a row per run.

    Paths, machines and the options that the summary has are left out. Lists are joined by spaces;
    an option that a run does not record is empty.
    """
    names = dict.fromkeys(name for run in runs for name in run.config)
    columns = {}
    for name in names:
        values = [_text(run.config.get(name)) for run in runs]
        if name not in NO_VARIANT and len(set(values)) > 1:
            columns[name] = values
    return pd.DataFrame(columns, index=range(len(runs)))


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return " ".join(map(str, value))
    return str(value)


def packed_rows(runs: Sequence[Run]) -> pd.DataFrame:
    """Return the rows of all runs: COLUMNS and those of OPTIONAL_COLUMNS that a run has."""
    tables = []
    for run in runs:
        rows = run.accuracy.copy()
        rows.insert(0, "run_id", run.run_id)
        for name in rows.columns.intersection(list(OPTIONAL_COLUMNS)):
            rows[name] = rows[name].astype("Int64")  # whole numbers beside missing ones
        tables.append(rows)
    packed = pd.concat(tables, ignore_index=True)
    return packed[[*COLUMNS, *(name for name in OPTIONAL_COLUMNS if name in packed)]]


def pack(folders: Sequence[Path], out: Path) -> list[str]:
    """Write the summary and the packed accuracies of all finished runs.

    Args:
        folders: of results.
        out: beginning of the names of both files.

    Returns:
        A line for every run that is left out.

    Raises:
        UserError: a folder without a finished run, or two folders with one name.
        OSError: the files cannot be written.
    """
    runs, left_out = finished_runs(folders)
    summary = summarise(runs)
    further = differing_options(runs)
    further = further[[name for name in further if name not in summary]]
    summary = pd.concat([summary, further], axis="columns")
    rows = packed_rows(runs).to_csv(index=False, lineterminator=LINE_END)
    write_atomic(accuracy_path(out), lzma.compress(rows.encode(), preset=9 | lzma.PRESET_EXTREME))
    write_atomic(summary_path(out), summary.to_csv(index=False, lineterminator=LINE_END))
    return left_out


# ---------------------------------------------------------------- reading
def read_accuracies(path: Path) -> dict[str, pd.DataFrame]:
    """Read packed accuracies.

    Returns:
        The rows of accuracy.csv by run_id, without those of OPTIONAL_COLUMNS that a run lacks.

    Raises:
        UserError: no such file, or one that is damaged.
    """
    try:
        text = {"run_id": str, "class": str}
        missing = {name: [""] for name in OPTIONAL_COLUMNS}
        rows = pd.read_csv(path, dtype=text, keep_default_na=False, na_values=missing)
        optional = [name for name in OPTIONAL_COLUMNS if name in rows]
        if list(rows.columns) != [*COLUMNS, *optional]:
            raise ValueError(f"columns are {list(rows.columns)}")
        numbers = [name for name in ACCURACY_COLUMNS if name != "class"]
        rows = rows.astype(dict.fromkeys(numbers, "int64"))
        if not rows["after_experience"].between(0, MAX_EXPERIENCES).all():
            raise ValueError("an experience has an impossible number")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); pack runs first") from None
    except (ValueError, EOFError, lzma.LZMAError) as error:
        raise UserError(f"{path}: damaged ({error}); pack the runs again") from None
    by_run = {}
    for run_id, group in rows.groupby("run_id", sort=False):
        run_rows = group.drop(columns="run_id").reset_index(drop=True)
        for name in optional:
            if run_rows[name].isna().any():
                run_rows = run_rows.drop(columns=name)
        by_run[str(run_id)] = run_rows
    return by_run


def read_summary(path: Path) -> pd.DataFrame:
    """Read a published summary, with the run_id as index.

    Raises:
        UserError: no such file, or one that is damaged.
    """
    try:
        return pd.read_csv(path, dtype={"run_id": str}).set_index("run_id")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); pack runs first") from None
    except (ValueError, KeyError) as error:
        raise UserError(f"{path}: damaged ({error}); pack the runs again") from None


def problems(out: Path) -> list[str]:
    """Compare a published summary with the metrics that the packed accuracies give.

    Returns:
        A line for every run in one file only and for every metric that differs.

    Raises:
        UserError: a file is missing or damaged.
    """
    accuracies = read_accuracies(accuracy_path(out))
    summary = read_summary(summary_path(out))
    found = []
    for run_id in sorted(set(accuracies) ^ set(summary.index)):
        place = "summary" if run_id in summary.index else "packed accuracies"
        found.append(f"{run_id}: in the {place} only")
    for name in summary.columns.intersection(list(METRICS)):
        published = summary[name].astype(float).to_dict()
        for run_id in sorted(set(accuracies) & set(published)):
            computed = METRICS[name](accuracies[run_id])
            if not np.isclose(published[run_id], computed, rtol=0, atol=TOLERANCE, equal_nan=True):
                found.append(
                    f"{run_id}: {name} is published as {published[run_id]}, not {computed}"
                )
    return found


def main() -> None:
    """Pack the runs of the folders, if there are any, and check both files.

    Raises:
        UserError: the files are missing or damaged, or contradict each other.
    """
    options = parse_line(
        lambda: tyro.cli(Options, prog="python -m studies.archive", description=__doc__)
    )
    if options.folders:
        for line in pack(options.folders, options.out):
            print(f"note: {line}")
    found = problems(options.out)
    if found:
        raise UserError(f"{options.out}: {len(found)} contradictions, first {found[0]}")
    runs = len(read_accuracies(accuracy_path(options.out)))
    size = accuracy_path(options.out).stat().st_size
    print(f"{accuracy_path(options.out)}: {runs} runs, {size:,} bytes; all metrics agree")


if __name__ == "__main__":
    run_command(main)
