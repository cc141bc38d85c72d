"""The descriptions of runs in report.html: command, versions, data, options and results."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from seit_cl.results.run_files import Run

ENVIRONMENT = {  # heading -> its values in environment.json; the others are under "More"
    "Versions": ("seit_cl", "torch", "timm", "avalanche", "python"),
    "Machine": ("machine", "system", "device", "precision"),
    "Dataset": ("dataset_identity",),
    "Tokenizer": ("tokenizer_identity",),
}
APART = ("command", "classes")  # values of environment.json that have their own places
STATUS_TEXTS = {"finished": "", "running": "not finished", "failed": "failed"}
ClassLists = Mapping[tuple[str, ...], int]


def number_class_lists(runs: Sequence[Run]) -> dict[tuple[str, ...], int]:
    """Number the different lists of class names, from 1: hundreds of runs share a few."""
    numbers: dict[tuple[str, ...], int] = {}
    for run in runs:
        names = run.environment.get("classes")
        if isinstance(names, list) and names:
            numbers.setdefault(tuple(map(str, names)), len(numbers) + 1)
    return numbers


def describe_runs(runs: Sequence[Run], class_lists: ClassLists) -> list[dict[str, Any]]:
    """Describe every run for the template.

    Args:
        runs: to describe.
        class_lists: lists of class names, numbered by `number_class_lists`.
    """
    return [_describe(run, class_lists) for run in runs]


def _describe(run: Run, class_lists: ClassLists) -> dict[str, Any]:
    names = run.environment.get("classes")
    if not isinstance(names, list):
        names = []
    command = run.environment.get("command", "")
    options = []
    for option, value in run.config.items():
        options.append(f"{option}: {json.dumps(value, ensure_ascii=False, default=str)}")
    return {
        "id": run.run_id,
        "status": STATUS_TEXTS[run.status],
        "problem": run.problem,
        "command": shlex.join(map(str, command)) if isinstance(command, list) else str(command),
        "identity": _identity(run),
        "classes": class_lists.get(tuple(map(str, names)), 0),
        "number_of_classes": len(names),
        "config": "\n".join(options),
        "metadata": json.dumps(run.metadata, indent=1, ensure_ascii=False),
    }


def _identity(run: Run) -> dict[str, dict[str, Any]]:
    """The values that say what a run was made with, by heading; empty headings are left out."""
    environment = dict(run.environment)
    for name in APART:
        environment.pop(name, None)
    sections: dict[str, dict[str, Any]] = {}
    for heading, names in ENVIRONMENT.items():
        sections[heading] = {}
        for name in names:
            if name in environment:
                sections[heading][name] = environment.pop(name)
    data = {"dataset": run.get("dataset"), "scenario": run.get("scenario")}
    sections["Dataset"] = {**data, **sections["Dataset"]}
    sections["Tokenizer"].setdefault("tokenizer_identity", run.get("tokenizer") or "none")
    sections["More"] = environment
    result = {}
    for heading, values in sections.items():
        if values:
            result[heading] = {name: value for name, value in values.items() if value is not None}
    return result
