"""Memories of part of every token grid: more exemplars, or whole ones?

All runs are experience replay with the micro learner on the same streams. Every run has a folder in
--out; finished runs are skipped and interrupted ones resumed, so the same command goes on. All arms
and budgets of a seed come before the next seed.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import torch
import tyro

from seit_cl.core.cli import hint, parse_line, run_command
from seit_cl.data.patches import SCORES
from seit_cl.reporting.markdown import page, publish, table, typed_command
from studies.plan import SHARED, Case, PlanOptions, of_seed, require_known, run_all
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

KEEP = 0.5  # share of the positions that an exemplar keeps
DROP = 0.5  # probability that the learner sees an image as the memory would keep it

WHOLE = "all"


@dataclass(frozen=True)
class Arm:
    """One use of the bytes.

    Args:
        description: for tables.
        format: of the memory.
        patch_drop_p: the learner's.
    """

    description: str
    format: str
    patch_drop_p: float = 0.0


def _arms() -> Mapping[str, Arm]:
    """The arms by name."""
    arms = {WHOLE: Arm("whole grids", "tokens")}
    for score in SCORES:
        spec = f"tokens:keep={KEEP},score={score}"
        arms[f"{score}-drop"] = Arm(f"half by {score}, fresh ones in part, too", spec, DROP)
        arms[score] = Arm(f"half by {score}, fresh ones whole", spec)
    return arms


ARMS = _arms()


@dataclass(frozen=True)
class Options(PlanOptions):
    """Options of the study."""

    tokenizer: Annotated[str, hint("tokenizer of one or several levels")] = "bundled"
    arm: Annotated[tuple[str, ...], hint("arms, most important first")] = tuple(ARMS)
    budgets: Annotated[tuple[float, ...], hint("budgets, MB")] = (0.02, 0.05)
    epochs: Annotated[int, hint("passes over an experience")] = 10


def cases(options: Options) -> Iterator[Case]:
    """All runs: all arms and budgets with one seed before the next seed."""
    for seed, budget, name in itertools.product(options.seed, options.budgets, options.arm):
        config = replace(
            of_seed(SHARED, seed),
            data_root=options.data_root,
            tokenizer=options.tokenizer,
            format=ARMS[name].format,
            patch_drop_p=ARMS[name].patch_drop_p,
            memory_mb=budget,
            epochs=options.epochs,
        )
        yield Case(f"{name}/{budget:g}MB", config)


def study_page(out: Path, command: str) -> str:
    """The page of a folder of results, as far as it is filled."""
    groups = {name: read_group(out / name) for name in ARMS}
    budgets = budgets_of(groups.values())
    sections = [accuracies(groups, budget) for budget in budgets]
    return page("Part of a grid, or fewer exemplars?", command, torch.device("cpu"), sections)


def accuracies(groups: Mapping[str, Group], budget: float) -> str:
    """A row for every arm at a budget, with its difference from whole grids by seed and order."""
    rows = []
    for name, group in groups.items():
        results = at_budget(group, budget)
        if not results:
            continue
        pairs = [] if name == WHOLE else paired(group, groups[WHOLE], budget)
        of_final, _, _ = difference_cells(pairs)
        rows.append(
            [
                f"`{name}`: {ARMS[name].description}",
                exemplars(results),
                *accuracy_cells(results),
                of_final,
                str(len(results)),
            ]
        )
    head = [f"{budget:g} MB", "exemplars", "final %", "average %", "final - `all`", "seeds"]
    return table(head, rows)


def main() -> None:
    """Run what is missing, then print the page."""
    run_command(_main)


def _main() -> None:
    options = parse_line(
        lambda: tyro.cli(Options, prog="python -m studies.patches", description=__doc__)
    )
    require_known("arm", options.arm, ARMS)
    run_all(list(cases(options)), options)
    if not options.dry_run:
        publish(study_page(options.out, typed_command("studies.patches")), options.write)


if __name__ == "__main__":
    main()
