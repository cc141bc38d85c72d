"""The runs of one or several result folders, collected for a report.

Copies of a run count once, runs that differ by more than their seed are told apart, and every run
that is left out is named in a note.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from seit_cl import __version__
from seit_cl.core.csv_text import csv_text
from seit_cl.core.errors import UserError
from seit_cl.core.files import write_atomic
from seit_cl.reporting.grouping import tested_on_validation
from seit_cl.reporting.labels import join_parts
from seit_cl.results.replicates import replicate_of
from seit_cl.results.run_files import Run, read_runs
from seit_cl.results.summary import summarise

GROUP = ["dataset", "scenario", "strategy", "learner", "format", "memory_bytes"]
# Options that do not make a variant: the metadata or the environment of a run say more about them,
# or they name a place or a machine.
NO_VARIANT = {
    "strategy",
    "format",
    "memory_mb",
    "learner",
    "seed",
    "class_order_seed",
    "scenario",
    "data_root",
    "device",
    "compile",
    "save_model",
    "eval_steps",
    "eval_images",
    "linear_probe",
    "tokenizer",
}
RESULT_FILES = ("facts.json", "accuracy.csv", "checkpoint.pt")  # a run folder has one of these
MAX_NAMES = 3  # runs named in one note


@dataclass
class Gathered:
    """The runs of a report.

    Args:
        folders: that hold runs.
        runs: each once, `variant` set.
        notes: a line for everything that was left out, counted once or told apart.
    """

    folders: list[Path]
    runs: list[Run]
    notes: list[str]

    def summary(self) -> pd.DataFrame:
        """The rows of summary.csv.

        Returns:
            SUMMARY_COLUMNS, and "folder" if there are several folders. `attrs["variants"]` has the
            variant of every run, by run_id.
        """
        table = summarise(self.runs)
        if len(self.folders) > 1:
            table["folder"] = [str(run.path.parent) for run in self.runs]
        table.attrs["variants"] = {run.run_id: run.variant for run in self.runs}
        return table


def gather(folders: Sequence[Path]) -> Gathered:
    """Collect the runs of result folders.

    Two runs with the same options, seeds, images and tokenizer count once if they have the same
    results; otherwise both stay, and their series are told apart by folder. Runs with other options
    are told apart by these (`mark_variants`).

    Raises:
        UserError: no folder holds a run; the message is about the first. If some do, the others
            are named in the notes.
    """
    as_typed: dict[Path, Path] = {}
    for folder in map(Path, folders):
        as_typed.setdefault(folder.resolve(), folder)
    problems = {path: _problem_of(folder) for path, folder in as_typed.items()}
    if all(problems.values()):
        raise UserError(next(iter(problems.values())))
    runs: list[Run] = []
    notes: list[str] = []
    for path, problem in problems.items():
        if problem:
            notes.append(problem)
        else:
            notes += _folders_without_config(path)
            runs += read_runs(path)
    mark_variants(runs)
    runs, duplicate_notes = _merge_duplicates(runs)
    _make_ids_unique(runs)
    return Gathered(
        folders=[folder for path, folder in as_typed.items() if not problems[path]],
        runs=runs,
        notes=[
            *notes,
            *_validation_notes(runs),
            *duplicate_notes,
            *_version_notes(runs),
            *_manifest_notes(runs),
            *_failure_notes(runs),
        ],
    )


def write_summary(gathered: Gathered, out: Path) -> pd.DataFrame:
    """Write out/summary.csv and return the same table (`Gathered.summary`)."""
    table = gathered.summary()
    write_atomic(out / "summary.csv", csv_text(table))
    return table


def load_summary(out: Path) -> pd.DataFrame:
    """Summarise the runs of a folder, and write the summary to its summary.csv.

    Raises:
        UserError: out is no folder, holds no run, or is a run's own folder.
    """
    return write_summary(gather([out]), out)


def _problem_of(folder: Path) -> str:
    """The reason why a folder has nothing to report, and the way out; "" if it has runs."""
    if not folder.is_dir():
        return f"{folder}: no such folder; give the --out folder of earlier runs"
    if (folder / "config.yaml").is_file():
        parent = folder.resolve().parent
        return f"{folder}: the folder of a single run; give the folder above it, {parent}"
    if not any(folder.glob("*/config.yaml")):
        problem = f"{folder}: no runs in this folder"
        below = {path.parent.parent for path in folder.glob("*/*/config.yaml")}
        if below:
            newest = max(below, key=lambda path: (path.stat().st_mtime, path))
            return f"{problem}; {len(below)} below it have some, the newest is {newest}"
        return f"{problem}; give the --out folder of python -m seit_cl.run"
    return ""


def _folders_without_config(folder: Path) -> list[str]:
    """A note for each folder of results that lacks a config.yaml."""
    notes = []
    for child in sorted(folder.iterdir()):
        has_results = any((child / name).is_file() for name in RESULT_FILES)
        if has_results and not (child / "config.yaml").is_file():
            notes.append(f"{child}: no config.yaml, so it is left out")
    return notes


# ---------------------------------------------------------------- variants
def mark_variants(runs: list[Run]) -> list[Run]:
    """Set `variant`, such as "epochs=5", where runs of one group are more than replicates.

    Without it, runs of a grid over further options, of two datasets with one name or of two
    tokenizers would be averaged like seeds. An option that a run does not record has its default.

    Args:
        runs: a group of them has the same values of GROUP.

    Returns:
        the same runs.
    """
    options_of = {id(run): _options_of(run) for run in runs}
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for run in runs:
        if run.status == "finished":
            place = tuple(run.get(name) for name in GROUP)
            groups.setdefault(place, []).append(options_of[id(run)])
    differing: set[str] = set()
    for group in groups.values():
        differing |= _differing_options(group)
    for run in runs:
        options = options_of[id(run)]
        parts = [f"{name}={_value(options, name)}" for name in sorted(differing)]
        run.variant = ", ".join(parts)
    return runs


def _options_of(run: Run) -> dict[str, Any]:
    """The options that make a variant, with short identities of the images and the tokenizer."""
    options = {name: value for name, value in run.config.items() if name not in NO_VARIANT}
    if "dataset_identity" in run.environment:
        options["images"] = str(run.environment["dataset_identity"])[:6]
    if "tokenizer_identity" in run.environment:
        name = Path(str(run.config.get("tokenizer") or "bundled")).stem
        identity = str(run.environment["tokenizer_identity"])[:6]
        options["tokenizer"] = f"{name}-{identity}"
    return options


def _differing_options(group: Sequence[dict[str, Any]]) -> set[str]:
    """The names of the options that have several values in a group of runs."""
    names = set().union(*group)
    differing = set()
    for name in names:
        values = {repr(_value(options, name)) for options in group}
        if len(values) > 1:
            differing.add(name)
    return differing


def _value(options: dict[str, Any], name: str) -> Any:
    """The value of an option; its default if the run does not record it."""
    if name in options:
        return options[name]
    from seit_cl.config import RunConfig  # imports torch, which few reports need

    value = getattr(RunConfig, name, None)
    return list(value) if isinstance(value, tuple) else value


# ---------------------------------------------------------------- duplicates
def _merge_duplicates(runs: list[Run]) -> tuple[list[Run], list[str]]:
    """Drop copies of runs, and tell contradicting runs of several folders apart.

    Returns:
        the remaining runs, and notes about the others. The `variant` of all runs of a series with
        a contradiction names their folder.
    """
    duplicates: dict[tuple[Any, ...], list[Run]] = {}
    for run in runs:
        if run.status == "finished":
            place = (*_line_of(run), run.get("memory_bytes"), replicate_of(run))
            duplicates.setdefault(place, []).append(run)
    dropped: set[int] = set()
    contradicting: set[tuple[Any, ...]] = set()
    copies: dict[str, list[str]] = {}  # text of a note -> the runs it is about
    contradictions: dict[str, list[str]] = {}
    for group in duplicates.values():
        remaining: list[Run] = []
        for run in group:
            original = _same_results(run, remaining)
            if original is not None:
                text = _copy_text(_folder(original), _folder(run))
                copies.setdefault(text, []).append(run.run_id)
                dropped.add(id(run))
            elif remaining and run.path.parent == remaining[0].path.parent:
                text = _left_out_text(_folder(run), remaining[0].run_id)
                contradictions.setdefault(text, []).append(run.run_id)
                dropped.add(id(run))
            else:
                remaining.append(run)
        if len(remaining) > 1:
            first, second, *_ = remaining
            text = _contradiction_text(_folder(first), _folder(second))
            contradictions.setdefault(text, []).append(first.run_id)
            contradicting.add(_line_of(first))
    runs = [run for run in runs if id(run) not in dropped]
    for run in runs:
        if _line_of(run) in contradicting:
            run.variant = join_parts(run.variant, f"in {_folder(run)}")
    notes = [*copies.items(), *contradictions.items()]
    return runs, [f"{_name_runs(names)}: {text}" for text, names in notes]


def _line_of(run: Run) -> tuple[Any, ...]:
    """The values that the runs of one line of a figure have in common."""
    values = [run.get(name) for name in GROUP if name != "memory_bytes"]
    return (*values, run.variant)


def _same_results(run: Run, others: Sequence[Run]) -> Run | None:
    """The first of some runs with the same results; times and machines may differ."""
    for other in others:
        same_counts = all(
            run.get(name) == other.get(name) for name in ("exemplars", "used_bytes", "steps")
        )
        if same_counts and run.accuracy.equals(other.accuracy):
            return other
    return None


def _folder(run: Run) -> str:
    return run.path.parent.name


def _copy_text(first: str, second: str) -> str:
    folders = f"in {first} and in {second}" if first != second else f"twice in {first}"
    return f"the same results {folders}; counted once"


def _left_out_text(folder: str, shown: str) -> str:
    return (
        "left out, with the options and the seed but not the results of another run in "
        f"{folder}, where {shown} is shown; remove one"
    )


def _contradiction_text(first: str, second: str) -> str:
    return f"different results in {first} and in {second}; both kept, told apart by folder"


def _name_runs(names: Sequence[str]) -> str:
    """The first MAX_NAMES names of runs, and the number of the others."""
    text = ", ".join(names[:MAX_NAMES])
    others = len(names) - MAX_NAMES
    return f"{text} and {others} more" if others > 0 else text


def _make_ids_unique(runs: Sequence[Run]) -> None:
    """Put the folder's name before the run_id of runs in different folders with one run_id."""
    counts = Counter(run.run_id for run in runs)
    for run in runs:
        if counts[run.run_id] > 1:
            run.run_id = f"{_folder(run)}/{run.run_id}"


def _validation_notes(runs: Sequence[Run]) -> list[str]:
    """A note on the runs that are tested on a validation part and not on the test images."""
    names = [run.run_id for run in runs if tested_on_validation(run)]
    if not names:
        return []
    return [
        f"{_name_runs(names)}: tested on training images that the stream left out, to choose "
        "settings by; shown apart from runs on the test images, as a data set of its own"
    ]


def _version_notes(runs: Sequence[Run]) -> list[str]:
    """A note for each other version of seit_cl that made some of the runs."""
    by_version: dict[str, list[str]] = {}
    for run in runs:
        version = str(run.environment.get("seit_cl", __version__))
        if version != __version__:
            by_version.setdefault(version, []).append(run.run_id)
    return [
        f"{_name_runs(names)}: made by seit_cl {version}, this is {__version__}"
        for version, names in sorted(by_version.items())
    ]


def _manifest_notes(runs: Sequence[Run]) -> list[str]:
    """A note on the finished runs of versions that wrote no manifest."""
    names = [run.run_id for run in runs if run.status == "finished" and not run.has_manifest]
    if not names:
        return []
    return [f"{_name_runs(names)}: of an earlier version, without digests; read as they are"]


def _failure_notes(runs: Sequence[Run]) -> list[str]:
    """A note for each run that failed or cannot be read."""
    return [f"{run.run_id}: failed: {run.problem}" for run in runs if run.status == "failed"]
