"""Tables of the study of cut levels, from its result files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from seit_cl import RunResult
from seit_cl.reporting.markdown import page, table
from studies.degrade.arms import ARMS, DIFFERENCES
from studies.degrade.code_lengths import code_length_table
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


def study_page(out: Path, levels: Path, fit_data: Path | None, command: str) -> str:
    """The page of a folder of results, as far as it is filled.

    Args:
        out: folder of the results.
        levels: tokenizer with several levels.
        fit_data: images that code lengths are fitted to, and measured on; None for no such table.
        command: that made the page.
    """
    groups = {name: read_group(out / name) for name in ARMS}
    budgets = budgets_of(groups.values())
    sections = ["## Accuracy"]
    sections += [accuracies(groups, budget) for budget in budgets]
    sections += ["## Differences", differences(groups, budgets)]
    if fit_data is not None:
        sections += ["## Bytes of a level", code_length_table(levels, fit_data)]
    return page("Fewer levels, or fewer exemplars?", command, torch.device("cpu"), sections)


def accuracies(groups: dict[str, Group], budget: float) -> str:
    """A row for every arm at a budget: accuracy, exemplars, and exemplars by levels."""
    rows = []
    for name, group in groups.items():
        results = at_budget(group, budget)
        if results:
            rows.append(
                [
                    f"`{name}`: {ARMS[name].description}",
                    *accuracy_cells(results),
                    exemplars(results),
                    _levels(results),
                    str(len(results)),
                ]
            )
    head = [f"{budget:g} MB", "final %", "average %", "exemplars", "of 1, 2, ... levels", "seeds"]
    return table(head, rows)


def differences(groups: dict[str, Group], budgets: Sequence[float]) -> str:
    """A row for every pair of arms of DIFFERENCES, and pairs of runs with equal seed and order."""
    rows = []
    for first, second, question in DIFFERENCES:
        for budget in budgets:
            pairs = paired(groups[first], groups[second], budget)
            if pairs:
                rows.append(
                    [
                        question,
                        f"`{first}` - `{second}`",
                        f"{budget:g}",
                        *difference_cells(pairs),
                    ]
                )
    head = ["question", "arms", "memory, MB", "final, points", "average, points", "pairs"]
    return table(head, rows)


def _levels(results: Sequence[RunResult]) -> str:
    """Mean number of exemplars of 1, 2, ... levels at the end of runs that cut them."""
    counts = []
    for result in results:
        memory = result.run.memory
        assert memory is not None
        last = memory[memory["experience"] == memory["experience"].max()]
        of_levels = last[last["kind"] == "levels"]
        counts.append(of_levels["value"].tolist())
    means = [sum(column) / len(column) for column in zip(*counts, strict=True)]
    return ", ".join(f"{mean:,.0f}" for mean in means)
