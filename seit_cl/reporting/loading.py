"""The runs of one or several result folders as one comparison: what counts twice, what is kept apart, what is named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from seit_cl import __version__
from seit_cl.core.errors import UserError
from seit_cl.core.files import write_atomic
from seit_cl.results.run_files import Run, read_runs
from seit_cl.results.summary import summarise

GROUP = ["dataset", "scenario", "strategy", "learner", "format", "memory_bytes"]
# Options of which facts.json or environment.json says more, or that name a place or a machine.
PLACES = {
    "strategy",
    "format",
    "memory_mb",
    "learner",
    "seed",
    "scenario",
    "data_root",
    "device",
    "compile",
    "tokenizer",
}
LISTED = 3  # runs named in a line
TRACES = ("facts.json", "accuracy.csv", "checkpoint.pt")


@dataclass
class Gathered:
    """Runs to report, and a line each on what was left out, counted once or kept apart."""

    folders: list[Path]
    runs: list[Run]
    notes: list[str]

    def summary(self) -> pd.DataFrame:
        """SUMMARY_COLUMNS, and "folder" where there are several; attrs["variants"] tells apart what differs by more than the
        seed (`mark_variants`)."""
        table = summarise(self.runs)
        if len(self.folders) > 1:
            table["folder"] = [str(run.path.parent) for run in self.runs]
        table.attrs["variants"] = {run.run_id: run.variant for run in self.runs}
        return table


def gather(folders: Sequence[Path]) -> Gathered:
    """The runs of result folders, each once.

    A run that is there twice (same options, seed, images and tokenizer) with the same accuracies counts once; with different
    ones, both are kept and their series are told apart by folder. Runs with other options are told apart by these
    (`mark_variants`).

    Raises:
        UserError: no folder holds a run; it says why of the first. With several folders, those without are only named.
    """
    unique = list(dict.fromkeys(Path(folder).resolve() for folder in folders))
    shown = {Path(folder).resolve(): Path(folder) for folder in reversed(folders)}
    runs: list[Run] = []
    notes: list[str] = []
    problems = {folder: _no_runs(shown[folder]) for folder in unique}
    if all(problems.values()):
        raise UserError(next(iter(problems.values())))
    for folder in unique:
        if problems[folder]:
            notes.append(problems[folder])
            continue
        for child in sorted(folder.iterdir()):
            if not (child / "config.yaml").is_file() and any(
                (child / name).is_file() for name in TRACES
            ):
                notes.append(f"{child}: no config.yaml, so it is left out")
        runs += read_runs(folder)
    mark_variants(runs)
    runs, doubles = _once(runs)
    _rename(runs)
    return Gathered(
        [shown[f] for f in unique if not problems[f]],
        runs,
        notes + doubles + _versions(runs) + _damaged(runs),
    )


def write_summary(gathered: Gathered, out: Path) -> pd.DataFrame:
    """Writes out/summary.csv and returns the same table (`Gathered.summary`)."""
    table = gathered.summary()
    write_atomic(out / "summary.csv", table.to_csv(index=False, lineterminator="\n"))
    return table


def load_summary(out: Path) -> pd.DataFrame:
    """The summary of a folder that must hold runs, written to its summary.csv too.

    Raises:
        UserError: out is no folder, holds no run, or is a run's own folder.
    """
    return write_summary(gather([out]), out)


def _no_runs(out: Path) -> str:
    """Why a folder has nothing to report, and what to do; "" where it has."""
    if not out.is_dir():
        return f"{out}: no such folder; give the --out folder of earlier runs"
    if (out / "config.yaml").is_file():
        return (
            f"{out}: the folder of a single run; give the folder above it, {out.resolve().parent}"
        )
    if not any(out.glob("*/config.yaml")):
        return f"{out}: no runs in this folder; give the --out folder of python -m seit_cl.run"
    return ""


def mark_variants(runs: list[Run]) -> list[Run]:
    """Sets `variant`, as "epochs=5", where runs of one group (GROUP) differ by more than their seeds.

    Without it, runs of a grid over any further option, of two datasets of one name or of two tokenizers would be averaged as
    if they were seeds. An option that a run does not note has its default.
    """
    groups: dict[tuple[Any, ...], list[Run]] = {}
    for run in runs:
        if run.status == "finished":
            groups.setdefault(_group(run), []).append(run)
    values = {id(run): _options(run) for run in runs}
    options = set()
    for group in groups.values():
        names = {name for run in group for name in values[id(run)]}
        options |= {
            name
            for name in names
            if len({repr(_value(values[id(run)], name)) for run in group}) > 1
        }
    for run in runs:
        run.variant = ", ".join(
            f"{name}={_value(values[id(run)], name)}" for name in sorted(options)
        )
    return runs


def _group(run: Run) -> tuple[Any, ...]:
    return tuple(run.get(name) for name in GROUP)


def _options(run: Run) -> dict[str, Any]:
    """The options that tell runs apart, and what tells images and tokenizer apart, shortened."""
    mine = {name: value for name, value in run.config.items() if name not in PLACES}
    if "dataset_identity" in run.environment:
        mine["images"] = str(run.environment["dataset_identity"])[:6]
    if "tokenizer_identity" in run.environment:
        name = Path(str(run.config.get("tokenizer") or "bundled")).stem
        mine["tokenizer"] = f"{name}-{str(run.environment['tokenizer_identity'])[:6]}"
    return mine


def _value(options: dict[str, Any], name: str) -> Any:
    if name in options:
        return options[name]
    from seit_cl.config import RunConfig  # brings torch, which few reports need

    value = getattr(RunConfig, name, None)
    return list(value) if isinstance(value, tuple) else value


def _once(runs: list[Run]) -> tuple[list[Run], list[str]]:
    """The runs without doubles, series with contradicting ones told apart by folder, and a line on what was done."""
    twins: dict[tuple[Any, ...], list[Run]] = {}
    for run in runs:
        if run.status == "finished":
            twins.setdefault((*_line(run), run.get("memory_bytes"), run.get("seed", 0)), []).append(
                run
            )
    dropped: set[int] = set()
    same: dict[tuple[str, str], list[str]] = {}
    apart: dict[tuple[str, str], list[str]] = {}
    lines = set()
    for group in twins.values():
        kept: list[Run] = []
        for run in group:
            twin = next((other for other in kept if _same_results(run, other)), None)
            if twin is not None:
                same.setdefault((_place(twin), _place(run)), []).append(run.run_id)
                dropped.add(id(run))
            elif kept and run.path.parent == kept[0].path.parent:
                apart.setdefault(
                    (f"{_place(run)}, where {kept[0].run_id} is shown", ""), []
                ).append(run.run_id)
                dropped.add(id(run))
            else:
                kept.append(run)
        if len(kept) > 1:
            apart.setdefault((_place(kept[0]), _place(kept[1])), []).append(kept[0].run_id)
            lines.add(_line(kept[0]))
    runs = [run for run in runs if id(run) not in dropped]
    for run, line in [(run, _line(run)) for run in runs]:
        if line in lines:
            run.variant = ", ".join(filter(None, (run.variant, f"in {_place(run)}")))
    return runs, [_said_same(*key, names) for key, names in same.items()] + [
        _said_apart(*k, names) for k, names in apart.items()
    ]


def _line(run: Run) -> tuple[Any, ...]:
    """What runs of one line of a figure have in common."""
    return *(run.get(name) for name in GROUP if name != "memory_bytes"), run.variant


def _same_results(run: Run, other: Run) -> bool:
    """Whether two runs ended alike: time and machine apart."""
    facts = ("exemplars", "used_bytes", "steps")
    return run.accuracy.equals(other.accuracy) and all(
        run.get(name) == other.get(name) for name in facts
    )


def _place(run: Run) -> str:
    return run.path.parent.name


def _said_same(first: str, second: str, names: list[str]) -> str:
    where = f"in {first} and in {second}" if first != second else f"twice in {first}"
    return f"{_few(names)}: the same results {where}; counted once"


def _said_apart(first: str, second: str, names: list[str]) -> str:
    if second:
        return f"{_few(names)}: different results in {first} and in {second}; both kept, told apart by folder"
    return f"{_few(names)}: left out, with the options and the seed but not the results of another run in {first}; remove one"


def _few(names: Sequence[str]) -> str:
    """Names of runs: the first LISTED, and how many more."""
    more = len(names) - LISTED
    return ", ".join(names[:LISTED]) + (f" and {more} more" if more > 0 else "")


def _rename(runs: list[Run]) -> None:
    """Runs of different folders with one run_id get their folder's name before it."""
    counts = Counter(run.run_id for run in runs)
    for run in runs:
        if counts[run.run_id] > 1:
            run.run_id = f"{_place(run)}/{run.run_id}"


def _versions(runs: Iterable[Run]) -> list[str]:
    """A line on each other version that made some of the runs."""
    made: dict[str, list[str]] = {}
    for run in runs:
        version = str(run.environment.get("seit_cl", __version__))
        if version != __version__:
            made.setdefault(version, []).append(run.run_id)
    return [
        f"{_few(names)}: made by seit_cl {version}, this is {__version__}"
        for version, names in sorted(made.items())
    ]


def _damaged(runs: Iterable[Run]) -> list[str]:
    """A line on each run that cannot be shown."""
    return [f"{run.run_id}: failed: {run.problem}" for run in runs if run.status == "failed"]
