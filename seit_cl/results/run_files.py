"""Files of a run folder: writing them during a run and reading them back for reports.

A run folder holds config.yaml and environment.json from the start, accuracy.csv, confusion.csv,
losses.csv and memory.csv, which are replaced after every experience, facts.json with the run's
metadata, and log.txt. A
finished run also has a manifest of these files (seit_cl.results.manifest). Every file but the log
is replaced as a whole. Accuracies are fractions, sizes are bytes.

The folder is written through to the disk with the checkpoint and the manifest alone. A run that
loses its power earlier goes on from the checkpoint, or begins again, and writes these files anew.
"""

from __future__ import annotations

import io
import json
import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from seit_cl.core.csv_text import csv_text, unprotected
from seit_cl.core.digests import file_digest
from seit_cl.core.errors import UserError, one_line
from seit_cl.core.files import atomic_file, make_folder, write_atomic
from seit_cl.core.yaml_text import read_yaml
from seit_cl.results import manifest
from seit_cl.results.anytime import ANYTIME_COLUMNS, ANYTIME_METRICS
from seit_cl.results.metrics import METRICS, TOP5, WITHIN
from seit_cl.results.renamed import EARLIER_OPTIONS, present_spec
from seit_cl.results.validation import find_problems

# By kind of work (seit_cl.core.flops), and their sum.
FLOPS_COLUMNS = (
    "flops_training",
    "flops_strategy",
    "flops_tokenizing",
    "flops_decoding",
    "flops_encoding",
    "flops_selection",
    "flops_testing",
    "flops_total",
)
SUMMARY_COLUMNS = (
    "run_id",
    "scenario",
    "dataset",
    "strategy",
    "fill",
    "format",
    "learner",
    "model",
    "tokenizer",
    "memory_bytes",
    "seed",
    "class_order_seed",
    "test_on",
    "exemplars",
    "classes_covered",
    "used_bytes",
    "payload_bytes",
    "bytes_per_exemplar",
    "codec_bytes",
    "model_bytes",
    "strategy_bytes",
    "steps",
    *FLOPS_COLUMNS,
    *METRICS,
    *ANYTIME_METRICS,
    "linear_probe_accuracy",
    "train_seconds",
    "device",
    "status",
)
# Columns that runs of earlier versions lack, with the value that all of them had; None: unknown.
YOUNGER_COLUMNS: dict[str, Any] = {
    "class_order_seed": 1993,
    "test_on": "test",
    "linear_probe_accuracy": math.nan,
    **dict.fromkeys(FLOPS_COLUMNS),
}
_NO_METADATA = ("run_id", *METRICS, *ANYTIME_METRICS, *YOUNGER_COLUMNS)
METADATA_NAMES = tuple(name for name in SUMMARY_COLUMNS if name not in _NO_METADATA)
ACCURACY_COLUMNS = ("after_experience", "experience", "class", "correct", "total")
OPTIONAL_COLUMNS = (WITHIN, TOP5)  # of accuracy.csv, behind the others
MEMORY_COLUMNS = ("experience", "kind", "name", "value")
CONFUSION_COLUMNS = ("class", "predicted", "count")
LOSS_COLUMNS = ("experience", "epoch", "steps", "loss")
# Results written before these columns were renamed.
OLD_ACCURACY_COLUMNS = ("step", *ACCURACY_COLUMNS[1:])
OLD_MEMORY_COLUMNS = ("step", *MEMORY_COLUMNS[1:])
STARTED = ("config.yaml", "environment.json")  # files that are written when a run starts
CHECKPOINT = "checkpoint.pt"  # of an unfinished run
STATUSES = ("finished", "running", "failed")


@dataclass
class Run:
    """A run folder as read back.

    Args:
        run_id: the folder's name.
        config: options of the run, from config.yaml.
        environment: versions and machine, from environment.json.
        accuracy: rows of accuracy.csv, ACCURACY_COLUMNS and perhaps some of OPTIONAL_COLUMNS.
        memory: rows of memory.csv, MEMORY_COLUMNS; None for a run without memory.
        metadata: values of facts.json; empty for an unfinished run.
        status: one of STATUSES.
        problem: why the run failed or could not be read, in one line; "" otherwise.
        variant: set by reports to tell runs apart that differ by more than the seed.
        path: the folder.
        anytime: rows of anytime.csv, ANYTIME_COLUMNS; empty for a run without --eval-steps.
        damage: how the files of a finished run differ from its manifest; "" otherwise.
        has_manifest: False for an unfinished run, and for one of an earlier version.
        confusion: rows of confusion.csv, CONFUSION_COLUMNS; empty for an earlier version's run.
        losses: rows of losses.csv, LOSS_COLUMNS; empty for an earlier version's run, and for a
            strategy that takes no training steps.
    """

    run_id: str
    config: dict[str, Any]
    environment: dict[str, Any]
    accuracy: pd.DataFrame
    memory: pd.DataFrame | None
    metadata: dict[str, Any]
    status: str
    problem: str = ""
    variant: str = ""
    path: Path = Path()
    anytime: pd.DataFrame = field(default_factory=pd.DataFrame)
    damage: str = ""
    has_manifest: bool = False
    confusion: pd.DataFrame = field(default_factory=pd.DataFrame)
    losses: pd.DataFrame = field(default_factory=pd.DataFrame)

    def get(self, name: str, default: Any = None) -> Any:
        """Return a value of the metadata, or the option of that name where there is none yet."""
        value = self.metadata.get(name, self.config.get(name))
        if value is None or isinstance(value, list | dict):
            return default
        return value


# ---------------------------------------------------------------- writing
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


# ---------------------------------------------------------------- reading
def read_run(run_dir: Path) -> Run:
    """Read a run folder; damaged files make a run of status "failed" with its `problem`.

    The files of a finished run are compared with its manifest.

    Raises:
        UserError: the folder has no config.yaml, so it is no run.
    """
    if not (run_dir / "config.yaml").is_file():
        raise UserError(f"{run_dir}: no config.yaml, so this is not a run's folder")
    damage: list[str] = []
    listed = _read(run_dir / manifest.NAME, manifest.read_manifest, damage)
    if listed is not None:
        damage += manifest.find_differences(run_dir, listed)
    problems: list[str] = []
    config = _read(run_dir / "config.yaml", _read_mapping, problems) or {}
    config = EARLIER_OPTIONS | config
    environment = _read(run_dir / "environment.json", _read_mapping, problems) or {}
    metadata = _read(run_dir / "facts.json", _read_mapping, problems) or {}
    if "format" in metadata:
        metadata["format"] = present_spec(str(metadata["format"]))
    accuracy = _read(run_dir / "accuracy.csv", _read_accuracy, problems)
    memory = _read(run_dir / "memory.csv", _read_memory, problems)
    anytime = _read(run_dir / "anytime.csv", _read_anytime, problems)
    confusion = _read(run_dir / "confusion.csv", _read_confusion, problems)
    losses = _read(run_dir / "losses.csv", _read_losses, problems)
    status = metadata.get("status", "finished") if metadata else "running"
    if (run_dir / CHECKPOINT).exists():
        # Interrupted, perhaps before its manifest: it goes on from the checkpoint.
        damage = []
        status = "running" if status == "finished" else status
    elif listed is None and metadata.get("manifest") and not damage:
        damage.append(f"{manifest.NAME}: missing; {manifest.REMEDY}")
    problems = damage + problems
    if status not in STATUSES:
        problems.append(f"facts.json: unknown status {status!r}")
    if status == "finished" and not damage:
        problems += find_problems(metadata, config, accuracy, memory, METADATA_NAMES, confusion)
    if accuracy is None:
        accuracy = pd.DataFrame(columns=list(ACCURACY_COLUMNS))
    return Run(
        run_id=run_dir.name,
        config=config,
        environment=environment,
        accuracy=accuracy,
        memory=memory,
        metadata=metadata,
        status="failed" if problems else status,
        problem="; ".join(problems) or str(metadata.get("problem", "")),
        path=run_dir,
        anytime=pd.DataFrame() if anytime is None else anytime,
        damage="; ".join(damage),
        has_manifest=listed is not None,
        confusion=pd.DataFrame() if confusion is None else confusion,
        losses=pd.DataFrame() if losses is None else losses,
    )


def read_runs(out: Path) -> list[Run]:
    """Read all runs of an output folder, ordered by run_id; an empty list where it has none."""
    return [read_run(config.parent) for config in sorted(out.glob("*/config.yaml"))]


def _read(path: Path, parse: Callable[[Path], Any], problems: list[str]) -> Any:
    """Return parse(path), or None where the file is absent or, with a line in problems, damaged."""
    if not path.exists():
        return None
    try:
        return parse(path)
    except Exception as error:  # parsers raise anything for a damaged file
        problems.append(f"{path.name}: {one_line(error)}")
        return None


def _read_mapping(path: Path) -> dict[str, Any]:
    text = path.read_text(encoding="utf-8")
    value = json.loads(text) if path.suffix == ".json" else read_yaml(text)
    if not isinstance(value, dict):
        raise ValueError("holds no mapping of names to values")
    return value


def _read_accuracy(path: Path) -> pd.DataFrame:
    return _read_table(
        path,
        ACCURACY_COLUMNS,
        OLD_ACCURACY_COLUMNS,
        text=("class",),
        optional=OPTIONAL_COLUMNS,
    )


def _read_memory(path: Path) -> pd.DataFrame:
    return _read_table(path, MEMORY_COLUMNS, OLD_MEMORY_COLUMNS, text=("kind", "name"))


def _read_anytime(path: Path) -> pd.DataFrame:
    key = ("step", "experience", "class")
    return _read_table(path, ANYTIME_COLUMNS, (), text=("class",), key=key)


def _read_confusion(path: Path) -> pd.DataFrame:
    names = ("class", "predicted")
    table = _read_table(path, CONFUSION_COLUMNS, (), text=names, key=names)
    if (table["count"] < 1).any():
        raise ValueError("a count below 1")
    return table


def _read_losses(path: Path) -> pd.DataFrame:
    key = ("experience", "epoch")
    table = _read_table(path, LOSS_COLUMNS, (), text=("loss",), key=key)
    if (table[list(key)] < 0).any(axis=None) or (table["steps"] < 1).any():
        raise ValueError("a negative number, or an epoch without steps")
    return table.assign(loss=table["loss"].replace("", "nan").astype("float64"))


def _read_table(
    path: Path,
    columns: tuple[str, ...],
    old_columns: tuple[str, ...],
    text: tuple[str, ...],
    optional: tuple[str, ...] = (),
    key: tuple[str, ...] = (),
) -> pd.DataFrame:
    """Read a CSV of whole numbers with columns of text, where "nan" is a name like others.

    Optional columns, in their order, may follow the others. No two rows have the same key: the
    first three columns where none is given.
    """
    content = path.read_bytes()
    if not content.endswith(b"\n"):
        raise ValueError("ends in the middle of a line: half-written")
    table = pd.read_csv(io.BytesIO(content), dtype=str, keep_default_na=False)
    if tuple(table.columns) == old_columns:
        table.columns = pd.Index(columns)
    columns = (*columns, *(name for name in optional if name in table))
    if tuple(table.columns) != columns:
        raise ValueError(f"columns are {list(table.columns)}, not {list(columns)}")
    key = key or columns[:3]
    if table.duplicated(list(key)).any():
        raise ValueError(f"two rows have the same {', '.join(key)}")
    for name in text:
        table[name] = table[name].map(unprotected)
    return table.astype({name: "int64" for name in columns if name not in text})
