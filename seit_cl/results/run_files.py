"""The files of a run folder, read back for reports and for commands that go on with its run.

What a file must hold is checked here, and whether files agree with one another in
`seit_cl.results.validation`. `seit_cl.results.run_writer` writes them.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from seit_cl.core.csv_text import unprotected
from seit_cl.core.errors import UserError, one_line
from seit_cl.core.yaml_text import read_yaml
from seit_cl.results import manifest
from seit_cl.results.anytime import ANYTIME_COLUMNS
from seit_cl.results.names import (
    ACCURACY_COLUMNS,
    CHECKPOINT,
    CONFUSION_COLUMNS,
    LOSS_COLUMNS,
    MEMORY_COLUMNS,
    METADATA_NAMES,
    OPTIONAL_COLUMNS,
    STATUSES,
)
from seit_cl.results.renamed import EARLIER_OPTIONS, present_spec
from seit_cl.results.validation import find_problems

# Results written before these columns were renamed.
OLD_ACCURACY_COLUMNS = ("step", *ACCURACY_COLUMNS[1:])
OLD_MEMORY_COLUMNS = ("step", *MEMORY_COLUMNS[1:])


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
