"""The files of a run folder, as a run writes them.

A run folder holds config.yaml and environment.json from the start, accuracy.csv, confusion.csv,
losses.csv and memory.csv, which are replaced after every experience, facts.json with the run's
metadata, and log.txt. A finished run also has a manifest of these files (seit_cl.results.manifest).
Every file but the log is replaced as a whole. Accuracies are fractions, sizes are bytes.

The folder is written through to the disk with the checkpoint and the manifest alone. A run that
loses its power earlier goes on from the checkpoint, or begins again, and writes these files anew.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from seit_cl.core.csv_text import csv_text
from seit_cl.core.digests import file_digest
from seit_cl.core.errors import UserError
from seit_cl.core.files import atomic_file, make_folder, write_atomic
from seit_cl.results import manifest
from seit_cl.results.metrics import TOP5, WITHIN
from seit_cl.results.names import (
    ACCURACY_COLUMNS,
    MEMORY_COLUMNS,
    METADATA_NAMES,
    OPTIONAL_COLUMNS,
    STATUSES,
)

STARTED = ("config.yaml", "environment.json")  # files that are written when a run starts


def start_run(run_dir: Path, config: Mapping[str, Any], environment: Mapping[str, Any]) -> None:
    """Make a run folder with environment.json and, last, config.yaml, which makes it a run.

    Args:
        run_dir: the folder; its name is the run_id.
        config: every option of the run, values that YAML can hold.
        environment: versions and machine, values that JSON can hold; the report shows "command".
    """
    make_folder(run_dir)
    environment_json = json.dumps(dict(environment), indent=1, default=str)
    write_atomic(run_dir / "environment.json", environment_json + "\n", sync=False)
    config_yaml = yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True)
    write_atomic(run_dir / "config.yaml", config_yaml, sync=False)


def digests_of_start(run_dir: Path) -> dict[str, str]:
    """Digest the files of `start_run`, which a resumed run keeps."""
    return {name: file_digest(run_dir / name) for name in STARTED}


def check_unchanged(run_dir: Path, digests: Mapping[str, str]) -> None:
    """Compare files of an unfinished run with their digests.

    Args:
        run_dir: the run folder.
        digests: by name, as `digests_of_start` gives them; empty in runs of earlier versions.

    Raises:
        UserError: naming the file that was changed or is missing.
    """
    for name, expected in digests.items():
        path = run_dir / name
        if not path.is_file() or file_digest(path) != expected:
            raise UserError(
                f"{path}: missing or changed since the run began; restore it, or delete {run_dir} "
                "to start over"
            )


def reopen_run(run_dir: Path) -> None:
    """Delete the outcome of an earlier attempt, so that the run counts as running again."""
    (run_dir / manifest.NAME).unlink(missing_ok=True)
    (run_dir / "facts.json").unlink(missing_ok=True)


def log(run_dir: Path, line: str) -> None:
    """Append a line with the time to log.txt, which is for people: nothing is computed from it."""
    path = run_dir / "log.txt"
    try:
        with open(path, "a", encoding="utf-8") as file:
            file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}\n")
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def accuracy_rows(
    after_experience: int,
    experience: int,
    correct: Mapping[str, int],
    total: Mapping[str, int],
    within: Mapping[str, int] | None = None,
    in_top: Mapping[str, int] | None = None,
) -> list[dict[str, Any]]:
    """Return the rows of accuracy.csv for a test on one experience, one row per class.

    Args:
        after_experience: index of the last experience trained on; a joint run, trained on all T
            experiences at once, has T - 1.
        experience: index of the experience whose test samples were used.
        correct: class name -> number of samples classified correctly.
        total: class name -> number of samples tested.
        within: class name -> number classified correctly among the classes of the experience; None
            where experiences share classes.
        in_top: class name -> number whose class is among the five likeliest; None where they were
            not counted.
    """
    further = {WITHIN: within, TOP5: in_top}
    rows = []
    for name, count in total.items():
        values = (after_experience, experience, name, int(correct.get(name, 0)), int(count))
        row: dict[str, Any] = dict(zip(ACCURACY_COLUMNS, values, strict=True))
        for column, counts in further.items():
            if counts is not None:
                row[column] = int(counts.get(name, 0))
        rows.append(row)
    return rows


def memory_rows(
    experience: int,
    exemplars: Mapping[str, int],
    sizes: Mapping[str, int],
    levels: Mapping[int, int] | None = None,
) -> list[dict[str, Any]]:
    """Return the rows of memory.csv after one experience.

    Args:
        experience: index of the experience that the memory was offered last.
        exemplars: class name -> number of exemplars stored.
        sizes: part of the memory's file (header, labels, payload, ...) -> bytes.
        levels: number of levels -> exemplars that have as many, in a memory that cuts them.

    Returns:
        kind "exemplars" per class, kind "levels" per number of levels, kind "bytes" per part, and
        kind "total" for exemplars and bytes.
    """
    values = [("exemplars", name, count) for name, count in exemplars.items()]
    values += [("levels", str(number), count) for number, count in (levels or {}).items()]
    values += [("bytes", part, size) for part, size in sizes.items()]
    values.append(("total", "exemplars", sum(exemplars.values())))
    values.append(("total", "bytes", sum(sizes.values())))
    rows = []
    for kind, name, value in values:
        rows.append(dict(zip(MEMORY_COLUMNS, (experience, kind, name, int(value)), strict=True)))
    return rows


def write_accuracy(run_dir: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Replace accuracy.csv with all rows of the run so far.

    They have ACCURACY_COLUMNS, and those of OPTIONAL_COLUMNS that no row lacks; rows of a run that
    an earlier version began may lack them.
    """
    rows = list(rows)
    columns: tuple[str, ...] = ACCURACY_COLUMNS
    for name in OPTIONAL_COLUMNS:
        if rows and all(name in row for row in rows):
            columns = (*columns, name)
    write_atomic(run_dir / "accuracy.csv", _to_csv(rows, columns), sync=False)


def write_anytime(run_dir: Path, rows: pd.DataFrame) -> None:
    """Replace anytime.csv with all rows of the run so far: ANYTIME_COLUMNS."""
    write_atomic(run_dir / "anytime.csv", csv_text(rows), sync=False)


def write_confusion(run_dir: Path, rows: pd.DataFrame) -> None:
    """Replace confusion.csv with the answers of the last test (CONFUSION_COLUMNS)."""
    write_atomic(run_dir / "confusion.csv", csv_text(rows), sync=False)


def write_losses(run_dir: Path, rows: pd.DataFrame) -> None:
    """Replace losses.csv with all rows of the run so far (LOSS_COLUMNS)."""
    write_atomic(run_dir / "losses.csv", csv_text(rows), sync=False)


def write_memory(run_dir: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Replace memory.csv with all rows of the run so far (MEMORY_COLUMNS)."""
    write_atomic(run_dir / "memory.csv", _to_csv(rows, MEMORY_COLUMNS), sync=False)


def write_exemplars(run_dir: Path, before: np.ndarray, after: np.ndarray) -> None:
    """Replace exemplars.npz: images (B, 3, S, S) uint8 before and after the format."""
    with atomic_file(run_dir / "exemplars.npz", sync=False) as file:
        np.savez_compressed(file, before=before, after=after)


def write_metadata(run_dir: Path, metadata: Mapping[str, Any]) -> None:
    """Replace facts.json; an unfinished or failed run has its "status" and a few values only."""
    plain = {}
    for name, value in metadata.items():
        plain[name] = value.item() if isinstance(value, np.generic) else value
    write_atomic(run_dir / "facts.json", json.dumps(plain, indent=1) + "\n", sync=False)


def finish_run(run_dir: Path, metadata: Mapping[str, Any]) -> None:
    """Write facts.json and the manifest of a finished run, which counts as finished from then on.

    All other files are there.

    Args:
        run_dir: the run folder.
        metadata: a value for every name of METADATA_NAMES ("status" defaults to "finished"), and
            any others.

    Raises:
        ValueError: names are missing or the status is none of STATUSES.
    """
    metadata = {"status": "finished", **metadata, "manifest": True}
    missing = [name for name in METADATA_NAMES if name not in metadata]
    status = metadata["status"]
    if missing or status not in STATUSES:
        raise ValueError(f"metadata of {run_dir.name}: missing {missing}, status {status!r}")
    write_metadata(run_dir, metadata)
    manifest.write_manifest(run_dir)


def _to_csv(rows: Iterable[Mapping[str, Any]], columns: tuple[str, ...]) -> str:
    table = pd.DataFrame(list(rows), columns=list(columns))
    return csv_text(table)
