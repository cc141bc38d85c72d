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
from rich.console import Console

from seit_cl import RunConfig, run_experiment
from seit_cl.core.cli import parse_line, run_command
from seit_cl.core.errors import UserError, nearest
from seit_cl.reporting.markdown import publish, typed_command
from studies.degrade.arms import ARMS
from studies.degrade.page import study_page

SHARED = RunConfig(experiences=5, cutmix_p=0.0, token_rrc=0.6, fill="after", strategy="er")
ORDER_SEED = 1993  # class order of seed 0; seed s has that of 1993 + s, as --paired-orders


@dataclass(frozen=True)
class Options:
    """Options of the study."""

    data_root: Annotated[Path, tyro.conf.arg(help="bench-mini: image folder, train/ and val/")]
    levels: Annotated[Path, tyro.conf.arg(help="tokenizer with several levels")]
    one: Annotated[Path, tyro.conf.arg(help="tokenizer with one level, trained as long")]
    out: Annotated[Path, tyro.conf.arg(help="folder of the results")]
    fit_data: Annotated[
        Path | None,
        tyro.conf.arg(help="images that code lengths are fitted to; none: no table of them"),
    ] = None
    arm: Annotated[tuple[str, ...], tyro.conf.arg(help="arms, most important first")] = tuple(ARMS)
    budgets: Annotated[tuple[float, ...], tyro.conf.arg(help="budgets, MB")] = (0.05, 0.2)
    seed: Annotated[tuple[int, ...], tyro.conf.arg(help="each has a class order of its own")] = (
        0,
        1,
        2,
        3,
        4,
    )
    epochs: Annotated[int, tyro.conf.arg(help="passes over an experience")] = 10
    dry_run: Annotated[bool, tyro.conf.arg(help="list the runs and stop")] = False
    write: Annotated[Path | None, tyro.conf.arg(help="file to write the page into")] = None


def cases(options: Options) -> Iterator[tuple[str, RunConfig]]:
    """The folder below --out, and the options, of every run."""
    tokenizers = {
        "levels": str(options.levels),
        "first": f"bundled:{options.levels},levels=1",
        "one": str(options.one),
    }
    for seed, budget, name in itertools.product(options.seed, options.budgets, options.arm):
        arm = ARMS[name]
        config = replace(
            SHARED,
            data_root=options.data_root,
            tokenizer=tokenizers[arm.tokenizer],
            memory_mb=budget,
            epochs=options.epochs,
            seed=seed,
            class_order_seed=ORDER_SEED + seed,
            **arm.options,
        )
        yield f"{name}/{budget:g}MB", config


def main() -> None:
    """Run what is missing, then print the page."""
    run_command(_main)


def _main() -> None:
    options = parse_line(
        lambda: tyro.cli(Options, prog="python -m studies.degrade", description=__doc__)
    )
    for name in options.arm:
        if name not in ARMS:
            raise UserError(f"--arm {name}: no such arm; {nearest(name, tuple(ARMS))}")
    console = Console()
    planned = list(cases(options))
    for number, (folder, config) in enumerate(planned, 1):
        line = f"{number} of {len(planned)}: {folder}, seed {config.seed}"
        if options.dry_run:
            console.print(line)
            continue
        result = run_experiment(config, options.out / folder)
        console.print(f"{line}: {100 * result.final_accuracy:.1f} %")
    if not options.dry_run:
        page = study_page(
            options.out, options.levels, options.fit_data, typed_command("studies.degrade")
        )
        publish(page, options.write)
