"""Memories of residual tokens: cut levels, remove exemplars, or store one level.

Every run has a folder in --out; finished runs are skipped and interrupted ones resumed, so the same
command goes on. All arms and budgets of a seed come before the next seed.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import tyro

from seit_cl.core.cli import hint, parse_line, run_command
from seit_cl.reporting.markdown import publish, typed_command
from studies.degrade.arms import ARMS
from studies.degrade.page import study_page
from studies.plan import SHARED, Case, PlanOptions, of_seed, require_known, run_all


@dataclass(frozen=True)
class Options(PlanOptions):
    """Options of the study."""

    levels: Annotated[Path, hint("tokenizer with several levels")]
    one: Annotated[Path, hint("tokenizer with one level, trained as long")]
    fit_data: Annotated[
        Path | None, hint("images that code lengths are fitted to; none: no table of them")
    ] = None
    arm: Annotated[tuple[str, ...], hint("arms, most important first")] = tuple(ARMS)
    budgets: Annotated[tuple[float, ...], hint("budgets, MB")] = (0.05, 0.2)
    epochs: Annotated[int, hint("passes over an experience")] = 10


def cases(options: Options) -> Iterator[Case]:
    """All runs: all arms and budgets with one seed before the next seed."""
    tokenizers = {
        "levels": str(options.levels),
        "first": f"bundled:{options.levels},levels=1",
        "one": str(options.one),
    }
    for seed, budget, name in itertools.product(options.seed, options.budgets, options.arm):
        arm = ARMS[name]
        config = replace(
            of_seed(SHARED, seed),
            data_root=options.data_root,
            tokenizer=tokenizers[arm.tokenizer],
            memory_mb=budget,
            epochs=options.epochs,
            **arm.options,
        )
        yield Case(f"{name}/{budget:g}MB", config)


def main() -> None:
    """Run what is missing, then print the page."""
    run_command(_main)


def _main() -> None:
    options = parse_line(
        lambda: tyro.cli(Options, prog="python -m studies.degrade", description=__doc__)
    )
    require_known("arm", options.arm, ARMS)
    run_all(list(cases(options)), options)
    if not options.dry_run:
        command = typed_command("studies.degrade")
        page = study_page(options.out, options.levels, options.fit_data, command)
        publish(page, options.write)
