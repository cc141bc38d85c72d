"""Plain and entropy-coded tokens at equal bytes of memory and coder's model together.

The memory of an entropy-coded arm is smaller by the bytes of the tables or the network that its
records need. The tokenizer itself is the same for all arms and counted in none. All arms of a seed
come before the next seed.
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
from seit_cl.core.errors import UserError
from seit_cl.formats.entropy.grids import CODERS
from seit_cl.reporting.markdown import page, publish, table, typed_command
from seit_cl.tokenizers import DEFAULT_TOKENIZER, open_tokenizer
from studies.plan import SHARED, Case, PlanOptions, of_seed, require_known, run_all
from studies.results import (
    Group,
    accuracy_cells,
    at_budget,
    difference_cells,
    exemplars,
    paired,
    read_group,
)

PLAIN = "tokens"
ARMS = (PLAIN, *(f"tokens:coder={name}" for name in CODERS))
MEGABYTE = 1_000_000
SMALLEST = 5_000  # bytes of a memory, below which an arm is left out


@dataclass(frozen=True)
class Options(PlanOptions):
    """Options of the study."""

    arm: Annotated[tuple[str, ...], hint("formats")] = (PLAIN, "tokens:coder=compact")
    totals: Annotated[tuple[float, ...], hint("bytes of memory and model together, MB")] = (0.05,)
    epochs: Annotated[int, hint("passes over an experience")] = 10


def model_bytes() -> Mapping[str, int]:
    """Bytes of the numbers that every arm needs beside its memory and the tokenizer."""
    model = open_tokenizer(DEFAULT_TOKENIZER).entropy_model()
    found = {PLAIN: 0}
    for name, coder in CODERS.items():
        found[f"tokens:coder={name}"] = coder(model, 8, 8).codec_bytes
    return found


def cases(options: Options, models: Mapping[str, int]) -> Iterator[Case]:
    """All runs whose model leaves room for a memory.

    Raises:
        UserError: a total that leaves no room for any memory.
    """
    for total in options.totals:
        if total * MEGABYTE < SMALLEST:
            raise UserError(f"--totals {total:g}: must be at least {SMALLEST / MEGABYTE:g} MB")
    for seed, total, arm in itertools.product(options.seed, options.totals, options.arm):
        left = round(total * MEGABYTE) - models[arm]
        if left < SMALLEST:
            continue
        config = replace(
            of_seed(SHARED, seed),
            data_root=options.data_root,
            format=arm,
            memory_mb=left / MEGABYTE,
            epochs=options.epochs,
        )
        yield Case(folder_of(arm, total, left), config)


def folder_of(arm: str, total: float, memory: int) -> str:
    """Folder of an arm's runs at a total in MB, with a memory of as many bytes."""
    name = arm.replace(":", "-").replace("=", "-")
    return f"{name}/total-{total:g}/{memory / MEGABYTE:g}MB"


def group_of(out: Path, arm: str, total: float) -> Group:
    """Finished runs of an arm, by the total in the place of the budget, and by seed."""
    folder = out / folder_of(arm, total, 0)
    return {(total, seed): run for (_, seed), run in read_group(folder.parent).items()}


def study_page(options: Options, models: Mapping[str, int], command: str) -> str:
    """The page of a folder of results, as far as it is filled."""
    rows = []
    for total in options.totals:
        plain = group_of(options.out, PLAIN, total)
        for arm in options.arm:
            group = group_of(options.out, arm, total)
            results = at_budget(group, total)
            if not results:
                continue
            pairs = [] if arm == PLAIN else paired(group, plain, total)
            of_final, of_average, _ = difference_cells(pairs)
            rows.append(
                [
                    f"{total:g}",
                    f"`{arm}`",
                    f"{models[arm]:,}",
                    exemplars(results),
                    *accuracy_cells(results),
                    of_final,
                    of_average,
                    str(len(results)),
                ]
            )
    head = [
        "MB in all",
        "format",
        "model, bytes",
        "exemplars",
        "final %",
        "average %",
        f"final - `{PLAIN}`",
        f"average - `{PLAIN}`",
        "seeds",
    ]
    title = "Entropy-coded tokens at equal bytes of memory and model"
    return page(title, command, torch.device("cpu"), [table(head, rows)])


def main() -> None:
    """Run what is missing, then print the page."""
    run_command(_main)


def _main() -> None:
    options = parse_line(
        lambda: tyro.cli(Options, prog="python -m studies.all_bytes", description=__doc__)
    )
    require_known("arm", options.arm, ARMS)
    models = model_bytes()
    run_all(list(cases(options, models)), options)
    if not options.dry_run:
        command = typed_command("studies.all_bytes")
        publish(study_page(options, models, command), options.write)


if __name__ == "__main__":
    main()
