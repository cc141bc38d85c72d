"""Problems in the results of a run that counts as finished: missing values or missing rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from seit_cl.results.metrics import TOP5, WITHIN


def find_problems(
    metadata: Mapping[str, Any],
    config: Mapping[str, Any],
    accuracy: pd.DataFrame | None,
    memory: pd.DataFrame | None,
    required: Sequence[str],
    confusion: pd.DataFrame | None = None,
) -> list[str]:
    """Return the problems of a finished run, one line each; an empty list for sound results.

    Args:
        metadata: values of facts.json.
        config: values of config.yaml, which may have a required name in place of the metadata.
        accuracy: rows of accuracy.csv; None where the file is missing.
        memory: rows of memory.csv; None for a run without memory.
        required: names that must have a value.
        confusion: rows of confusion.csv; None for a run that has none.
    """
    if accuracy is None or accuracy.empty:
        return ["accuracy.csv: missing or empty in a finished run"]
    problems = []
    values = {**config, **metadata}
    missing = [name for name in required if name != "status" and values.get(name) is None]
    if missing:
        problems.append(f"facts.json: no {', '.join(missing)}; results of another version?")
    problems += _accuracy_problems(accuracy)
    if confusion is not None and not problems:
        problems += _confusion_problems(confusion, accuracy)
    if memory is not None and not memory.empty:
        problems += _memory_problems(memory, accuracy)
    return problems


def _accuracy_problems(accuracy: pd.DataFrame) -> list[str]:
    """Check that the last test covers every class tested before and counts no sample twice."""
    last = int(accuracy["after_experience"].max())
    classes = accuracy[["experience", "class"]]
    seen = set(classes[accuracy["experience"] <= last].itertuples(index=False, name=None))
    is_last = accuracy["after_experience"] == last
    tested = set(classes[is_last].itertuples(index=False, name=None))
    missing = len(seen - tested)
    if missing:
        return [
            f"accuracy.csv: the test after experience {last} lacks {missing} of {len(seen)} "
            "classes: half-written"
        ]
    if (accuracy["correct"] > accuracy["total"]).any():
        return ["accuracy.csv: more correct answers than samples"]
    within = accuracy.get(WITHIN)
    if within is not None and (within > accuracy["total"]).any():
        return ["accuracy.csv: more correct answers within experiences than samples"]
    in_top = accuracy.get(TOP5)
    if in_top is not None and not in_top.between(accuracy["correct"], accuracy["total"]).all():
        return [f"accuracy.csv: {TOP5} is not between the correct answers and the samples"]
    return []


def _confusion_problems(confusion: pd.DataFrame, accuracy: pd.DataFrame) -> list[str]:
    """Check that the answers are those of the last test in accuracy.csv."""
    last = accuracy[accuracy["after_experience"] == accuracy["after_experience"].max()]
    tested = last.groupby("class")[["correct", "total"]].sum()
    tested = tested[tested["total"] > 0]
    total = confusion.groupby("class")["count"].sum()
    is_right = confusion["class"] == confusion["predicted"]
    right = confusion[is_right].groupby("class")["count"].sum()
    right = right.reindex(tested.index, fill_value=0)
    # Classes of one name, which some data have, are one class here.
    has_all = total.to_dict() == tested["total"].to_dict() and (right >= tested["correct"]).all()
    return [] if has_all else ["confusion.csv: other answers than in the last test of accuracy.csv"]


def _memory_problems(memory: pd.DataFrame, accuracy: pd.DataFrame) -> list[str]:
    """Check that the last rows are those of the last experience, ending with the total of bytes."""
    experience, kind, name, _ = memory.iloc[-1]
    is_whole = (kind, name) == ("total", "bytes")
    # A memory of exemplars that were offered once, by a joint run for instance, has one experience.
    several = memory["experience"].min() < experience
    is_last = experience >= accuracy["after_experience"].max()
    if is_whole and (is_last or not several):
        return []
    return [f"memory.csv: ends within experience {int(experience)}: half-written"]
