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
from rich.console import Console

from seit_cl import RunConfig, run_experiment
from seit_cl.core.cli import parse_line, run_command
from seit_cl.core.errors import UserError, nearest
from seit_cl.data.patches import SCORES
from seit_cl.reporting.markdown import page, publish, table, typed_command
from studies.factors.page import Group, average, final, interval, paired, read_group

SHARED = RunConfig(experiences=5, cutmix_p=0.0, token_rrc=0.6, fill="after", strategy="er")
ORDER_SEED = 1993  # class order of seed 0; seed s has that of 1993 + s, as --paired-orders
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
class Options:
    """Options of the study."""

    data_root: Annotated[Path, tyro.conf.arg(help="bench-mini: image folder, train/ and val/")]
    out: Annotated[Path, tyro.conf.arg(help="folder of the results")]
    tokenizer: Annotated[str, tyro.conf.arg(help="tokenizer of one or several levels")] = "bundled"
    arm: Annotated[tuple[str, ...], tyro.conf.arg(help="arms, most important first")] = tuple(ARMS)
    budgets: Annotated[tuple[float, ...], tyro.conf.arg(help="budgets, MB")] = (0.02, 0.05)
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
    for seed, budget, name in itertools.product(options.seed, options.budgets, options.arm):
        config = replace(
            SHARED,
            data_root=options.data_root,
            tokenizer=options.tokenizer,
            format=ARMS[name].format,
            patch_drop_p=ARMS[name].patch_drop_p,
            memory_mb=budget,
            epochs=options.epochs,
            seed=seed,
            class_order_seed=ORDER_SEED + seed,
        )
        yield f"{name}/{budget:g}MB", config


def study_page(out: Path, command: str) -> str:
    """The page of a folder of results, as far as it is filled."""
    groups = {name: read_group(out / name) for name in ARMS}
    budgets = sorted({budget for group in groups.values() for budget, _ in group})
    sections = [accuracies(groups, budget) for budget in budgets]
    return page("Part of a grid, or fewer exemplars?", command, torch.device("cpu"), sections)


def accuracies(groups: Mapping[str, Group], budget: float) -> str:
    """A row for every arm at a budget, with its difference from whole grids by seed and order."""
    rows = []
    for name, group in groups.items():
        results = [result for (at, _), result in sorted(group.items()) if at == budget]
        if not results:
            continue
        exemplars = [float(result.facts["exemplars"]) for result in results]
        pairs = [] if name == WHOLE else paired(group, groups[WHOLE], budget)
        gains = [final(own) - final(whole) for own, whole in pairs]
        rows.append(
            [
                f"`{name}`: {ARMS[name].description}",
                f"{sum(exemplars) / len(exemplars):,.0f}",
                interval([final(result) for result in results]),
                interval([average(result) for result in results]),
                interval(gains, sign="+") if gains else "",
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
        publish(study_page(options.out, typed_command("studies.patches")), options.write)


if __name__ == "__main__":
    main()
