"""What a run writes, and how it is read back.

A run folder holds config.yaml and environment.json (from the start), accuracy.csv and memory.csv (replaced after every
experience), facts.json (what the other files cannot tell) and log.txt. Every file but the log appears whole or not at
all. Accuracies are fractions, memory is in bytes.
"""

from __future__ import annotations

import io
import json
import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from seit_cl.core.errors import UserError
from seit_cl.core.files import atomic_file, write_atomic
from seit_cl.results.metrics import (
    average_incremental_accuracy,
    backward_transfer,
    final_accuracy,
    forgetting,
)
from seit_cl.results.validation import damage

METRICS = ("final_accuracy", "average_incremental_accuracy", "forgetting", "backward_transfer")
SUMMARY_COLUMNS = (
    *("run_id", "scenario", "dataset", "strategy", "format", "learner", "model", "tokenizer"),
    *(
        "memory_bytes",
        "seed",
        "exemplars",
        "classes_covered",
        "used_bytes",
        "payload_bytes",
        "bytes_per_exemplar",
    ),
    *("codec_bytes", "model_bytes", "strategy_bytes", "steps"),
    *METRICS,
    *("train_seconds", "device", "status"),
)
FACT_COLUMNS = tuple(c for c in SUMMARY_COLUMNS if c != "run_id" and c not in METRICS)
ACCURACY_COLUMNS = ("step", "experience", "class", "correct", "total")
MEMORY_COLUMNS = ("step", "kind", "name", "value")
STATUSES = ("finished", "running", "failed")
YAML = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's is ten times as fast


@dataclass
class Run:
    """One run folder, at `path`, as read back. `problem` says in one line why it failed or could not be read; `variant`
    is the report's."""

    run_id: str
    config: dict[str, Any]
    environment: dict[str, Any]
    accuracy: pd.DataFrame
    memory: pd.DataFrame | None
    facts: dict[str, Any]
    status: str
    problem: str = ""
    variant: str = ""
    path: Path = Path()

    def fact(self, name: str, default: Any = None) -> Any:
        """A fact of the run; where an unfinished run has none yet, the option of that name from its configuration."""
        value = self.facts.get(name, self.config.get(name))
        return default if value is None or isinstance(value, list | dict) else value


# ---------------------------------------------------------------- writing
def start_run(run_dir: Path, config: Mapping[str, Any], environment: Mapping[str, Any]) -> None:
    """Makes the run folder with environment.json and, last, config.yaml, which makes the folder a run.

    Args:
        run_dir: the folder; its name is the run_id.
        config: every option of the run, YAML-safe values (numbers, strings, lists, dicts, None).
        environment: versions, machine and so on, JSON-safe; "command" (str or list of str) is shown by the report.
    """
    run_dir.mkdir(parents=True, exist_ok=True)
    write_atomic(
        run_dir / "environment.json", json.dumps(dict(environment), indent=1, default=str) + "\n"
    )
    write_atomic(
        run_dir / "config.yaml", yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True)
    )


def reopen_run(run_dir: Path) -> None:
    """Forgets how an earlier attempt ended: the run counts as running again."""
    (run_dir / "facts.json").unlink(missing_ok=True)


def log(run_dir: Path, line: str) -> None:
    """Adds a line with the time to log.txt: what people read when they wonder how a run went; nothing is computed from it."""
    with open(run_dir / "log.txt", "a", encoding="utf-8") as file:
        file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}\n")


def accuracy_rows(
    step: int, experience: int, correct: Mapping[str, int], total: Mapping[str, int]
) -> list[dict[str, Any]]:
    """Rows of accuracy.csv for one test experience: per class name, samples answered correctly and samples tested.

    Args:
        step: experiences trained so far - 1; a joint run, trained on all T at once, has the one step T - 1.
        experience: index of the test experience, from 0.
    """
    return [
        {
            "step": step,
            "experience": experience,
            "class": name,
            "correct": int(correct.get(name, 0)),
            "total": int(n),
        }
        for name, n in total.items()
    ]


def memory_rows(
    step: int, exemplars: Mapping[str, int], sizes: Mapping[str, int]
) -> list[dict[str, Any]]:
    """Rows of memory.csv after one experience.

    Args:
        step: as in `accuracy_rows`.
        exemplars: class name -> exemplars kept.
        sizes: part of the memory file (header, labels, payload, …) -> bytes.

    Returns:
        kind "exemplars" per class, kind "bytes" per part, kind "total" for "exemplars" and "bytes".
    """
    parts = [("exemplars", k, v) for k, v in exemplars.items()] + [
        ("bytes", k, v) for k, v in sizes.items()
    ]
    parts += [
        ("total", "exemplars", sum(exemplars.values())),
        ("total", "bytes", sum(sizes.values())),
    ]
    return [
        dict(zip(MEMORY_COLUMNS, (step, kind, name, int(value)), strict=True))
        for kind, name, value in parts
    ]


def write_accuracy(run_dir: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Replaces accuracy.csv by all rows of the run so far (ACCURACY_COLUMNS)."""
    write_atomic(run_dir / "accuracy.csv", _csv(rows, ACCURACY_COLUMNS))


def write_memory(run_dir: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Replaces memory.csv by all rows of the run so far (MEMORY_COLUMNS)."""
    write_atomic(run_dir / "memory.csv", _csv(rows, MEMORY_COLUMNS))


def write_exemplars(run_dir: Path, before: np.ndarray, after: np.ndarray) -> None:
    """Replaces exemplars.npz: images (B, 3, S, S) uint8 before and after the format."""
    with atomic_file(run_dir / "exemplars.npz") as file:
        np.savez_compressed(file, before=before, after=after)


def write_facts(run_dir: Path, facts: Mapping[str, Any]) -> None:
    """Replaces facts.json; for a run under way or failed, with what is known and its "status"."""
    plain = {k: v.item() if isinstance(v, np.generic) else v for k, v in facts.items()}
    write_atomic(run_dir / "facts.json", json.dumps(plain, indent=1) + "\n")


def finish_run(run_dir: Path, facts: Mapping[str, Any]) -> None:
    """Writes facts.json of a finished run: the run counts as finished from here on.

    Args:
        facts: a value for every name in FACT_COLUMNS ("status" may be left out: "finished"); more names are kept.

    Raises:
        ValueError: names are missing or the status is none of STATUSES.
    """
    facts = {"status": "finished", **facts}
    missing = [name for name in FACT_COLUMNS if name not in facts]
    if missing or facts["status"] not in STATUSES:
        raise ValueError(f"facts of {run_dir.name}: missing {missing}, status {facts['status']!r}")
    write_facts(run_dir, facts)


def _csv(rows: Iterable[Mapping[str, Any]], columns: tuple[str, ...]) -> str:
    return pd.DataFrame(list(rows), columns=list(columns)).to_csv(index=False, lineterminator="\n")


# ---------------------------------------------------------------- reading
def read_run(run_dir: Path) -> Run:
    """Reads one run folder. Damaged files make a run of status "failed" with its `problem`; they raise nothing.

    Raises:
        UserError: the folder has no config.yaml, so it is no run.
    """
    if not (run_dir / "config.yaml").is_file():
        raise UserError(f"{run_dir}: no config.yaml, so this is not a run's folder")
    problems: list[str] = []
    config = _read(run_dir / "config.yaml", _mapping, problems) or {}
    environment = _read(run_dir / "environment.json", _mapping, problems) or {}
    facts = _read(run_dir / "facts.json", _mapping, problems) or {}
    accuracy = _read(
        run_dir / "accuracy.csv", lambda p: _table(p, ACCURACY_COLUMNS, "class"), problems
    )
    memory = _read(run_dir / "memory.csv", lambda p: _table(p, MEMORY_COLUMNS, "name"), problems)
    status = facts.get("status", "finished") if facts else "running"
    if status not in STATUSES:
        problems.append(f"facts.json: unknown status {status!r}")
    if status == "finished" and (accuracy is None or accuracy.empty):
        problems.append("accuracy.csv: missing or empty in a finished run")
    if status == "finished" and accuracy is not None:
        problems += damage(facts, config, accuracy, memory, FACT_COLUMNS)
    if accuracy is None:
        accuracy = pd.DataFrame(columns=list(ACCURACY_COLUMNS))
    status = "failed" if problems else status
    problem = "; ".join(problems) or str(facts.get("problem", ""))
    return Run(
        run_dir.name, config, environment, accuracy, memory, facts, status, problem, path=run_dir
    )


def read_runs(out: Path) -> list[Run]:
    """All runs of an output folder, by run_id; [] when it has none."""
    return [read_run(config.parent) for config in sorted(out.glob("*/config.yaml"))]


def _read(path: Path, parse: Any, problems: list[str]) -> Any:
    """parse(path), or None where the file is absent or damaged; damage is added to problems in one line."""
    if not path.exists():
        return None
    try:
        return parse(path)
    except (OSError, ValueError, KeyError, yaml.YAMLError) as error:
        problems.append(
            f"{path.name}: {' '.join(str(error).split())[:200] or type(error).__name__}"
        )
        return None


def _mapping(path: Path) -> dict[str, Any]:
    text = path.read_text(encoding="utf-8")
    value = json.loads(text) if path.suffix == ".json" else yaml.load(text, Loader=YAML)
    if not isinstance(value, dict):
        raise ValueError("holds no mapping of names to values")
    return value


def _table(path: Path, columns: tuple[str, ...], text: str) -> pd.DataFrame:
    """A CSV of whole numbers but for the column `text` and "kind"; "nan" and "null" are names like any other."""
    written = path.read_bytes()
    if not written.endswith(b"\n"):
        raise ValueError("ends in the middle of a line: half-written")
    raw = pd.read_csv(io.BytesIO(written), dtype=str, keep_default_na=False)
    if tuple(raw.columns) != columns:
        raise ValueError(f"columns are {list(raw.columns)}, not {list(columns)}")
    if len(raw) and raw.duplicated(list(columns[:3])).any():
        raise ValueError(f"two rows have the same {', '.join(columns[:3])}")
    return raw.astype({c: "int64" for c in columns if c not in (text, "kind")})


# ---------------------------------------------------------------- summary
def summary_row(run: Run) -> dict[str, Any]:
    """The run's row of summary.csv: facts, then metrics (nan while the run is not finished)."""
    row: dict[str, Any] = {name: run.fact(name) for name in FACT_COLUMNS}
    compute = (final_accuracy, average_incremental_accuracy, forgetting, backward_transfer)
    for name, metric in zip(METRICS, compute, strict=True):
        row[name] = metric(run.accuracy) if run.status == "finished" else math.nan
    return row | {"run_id": run.run_id, "status": run.status}


def summary_of(runs: Iterable[Run]) -> pd.DataFrame:
    """SUMMARY_COLUMNS, a row per run."""
    return pd.DataFrame([summary_row(run) for run in runs], columns=list(SUMMARY_COLUMNS))


def rebuild_summary(out: Path) -> pd.DataFrame:
    """Writes out/summary.csv from the folders out/*/ that have a config.yaml, a row each in the order of run_id.

    Returns:
        the same table, SUMMARY_COLUMNS; damaged and unfinished runs are in it with their status.

    Raises:
        UserError: out is no folder.
    """
    if not out.is_dir():
        raise UserError(f"{out}: no such folder; give the --out folder of earlier runs")
    table = summary_of(read_runs(out))
    write_atomic(out / "summary.csv", table.to_csv(index=False, lineterminator="\n"))
    return table
