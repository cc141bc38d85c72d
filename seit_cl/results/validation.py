"""What is wrong with the results of a run that says it has finished: of another version, or with rows missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd


def damage(
    facts: Mapping[str, Any],
    config: Mapping[str, Any],
    accuracy: pd.DataFrame,
    memory: pd.DataFrame | None,
    wanted: Sequence[str],
) -> list[str]:
    """Problems, a line each; [] of sound results.

    Args:
        facts: of facts.json.
        config: of config.yaml, which may have a fact instead.
        accuracy: the rows of accuracy.csv.
        memory: the rows of memory.csv; None of a run without memory.
        wanted: names that the facts of every version must have.
    """
    problems = []
    missing = [
        name for name in wanted if facts.get(name, config.get(name)) is None and name != "status"
    ]
    if missing:
        problems.append(f"facts.json: no {', '.join(missing)}; results of another version?")
    return problems + rows_missing(accuracy) + memory_rows_missing(memory, accuracy)


def memory_rows_missing(memory: pd.DataFrame | None, accuracy: pd.DataFrame) -> list[str]:
    """A line where the last step has no total of bytes, which is written last, or is not the last step of the run."""
    if memory is None or memory.empty or accuracy.empty:
        return []
    step, kind, name, _ = memory.iloc[-1]
    several = memory["step"].min() < step
    if (kind, name) != ("total", "bytes") or (several and step < accuracy["step"].max()):
        return [f"memory.csv: ends within step {int(step)}: half-written"]
    return []


def rows_missing(accuracy: pd.DataFrame) -> list[str]:
    """A line where the last step was not tested on every class of an earlier one, or counts more answers than questions."""
    if accuracy.empty:
        return []
    step, experience = accuracy["step"].to_numpy(), accuracy["experience"].to_numpy()
    names = accuracy["class"].to_numpy()
    last = int(step.max())
    known = set(zip(experience[experience <= last], names[experience <= last], strict=True))
    tested = set(zip(experience[step == last], names[step == last], strict=True))
    if known - tested:
        return [
            f"accuracy.csv: step {last} lacks {len(known - tested)} of {len(known)} classes: half-written"
        ]
    if (accuracy["correct"].to_numpy() > accuracy["total"].to_numpy()).any():
        return ["accuracy.csv: more correct answers than samples"]
    return []
