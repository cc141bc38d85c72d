"""Tables of the study of pre-training, from its result files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from seit_cl.models._weights import read_weights
from seit_cl.reporting.markdown import page, table
from studies.results import (
    Group,
    accuracy_cells,
    at_budget,
    budgets_of,
    difference_cells,
    exemplars,
    paired,
    read_group,
)

STARTS = {"drawn": "none", "masked": "masked"}
Groups = Mapping[tuple[str, str], Group]  # by learner and start


def study_page(out: Path, descriptions: Mapping[str, str], command: str) -> str:
    """The page of a folder of results, as far as it is filled.

    Args:
        out: the folder.
        descriptions: of the learners, by name.
        command: as typed.
    """
    groups = {
        (name, start): read_group(out / name / start) for name in descriptions for start in STARTS
    }
    sections = [
        "## Pre-training\n\n" + pretraining_table(out, descriptions),
        "## Accuracy\n\n" + accuracy_table(groups, descriptions),
        "## Differences\n\n" + difference_table(groups),
    ]
    return page("Masked pre-training", command, torch.device("cpu"), sections)


def pretraining_table(out: Path, descriptions: Mapping[str, str]) -> str:
    """Length and loss of every pre-training, from the metadata of its weights."""
    rows = []
    for name, description in descriptions.items():
        path = out / "pretrained" / f"{name}.safetensors"
        if path.exists():
            made = read_weights(path).origin
            rows.append(
                [
                    description,
                    str(made["objective"]),
                    f"{made['images']:,}",
                    f"{made['passes']:.1f}",
                    f"{float(made['seconds']) / 60:.1f}",
                    f"{made['loss']:.3f}",
                ]
            )
    return table(["learner", "objective", "images", "passes", "minutes", "final loss"], rows)


def accuracy_table(groups: Groups, descriptions: Mapping[str, str]) -> str:
    """A row for every learner, start and budget."""
    rows = []
    for (name, start), group in groups.items():
        for budget in budgets_of([group]):
            results = at_budget(group, budget)
            rows.append(
                [
                    descriptions[name],
                    STARTS[start],
                    f"{budget:g}",
                    *accuracy_cells(results),
                    exemplars(results),
                    str(len(results)),
                ]
            )
    head = ["learner", "pre-training", "MB", "final %", "average %", "exemplars", "seeds"]
    return table(head, rows)


def difference_table(groups: Groups) -> str:
    """Paired differences: by pre-training of each learner, and of tokens and pixels by start."""
    pairs = []
    for name, start in groups:
        if start == "masked":
            pairs.append(((name, "masked"), (name, "drawn")))
    for name, start in groups:
        if name != "pixels":
            pairs.append(((name, start), ("pixels", start)))
    rows = []
    for first, second in pairs:
        for budget in budgets_of([groups[first]]):
            matched = paired(groups[first], groups[second], budget)
            if matched:
                rows.append(
                    [
                        f"`{_label(first)}` - `{_label(second)}`",
                        f"{budget:g}",
                        *difference_cells(matched),
                    ]
                )
    return table(["difference", "MB", "final, points", "average, points", "pairs"], rows)


def _label(arm: tuple[str, str]) -> str:
    name, start = arm
    return f"{name}, {STARTS[start]}"
