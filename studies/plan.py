"""Planned runs of a study: its options, one case for each run, and the making of those missing.

Every run has a folder below --out. Finished runs are skipped and interrupted ones resumed, so that
the same command goes on.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from rich.console import Console

from seit_cl import RunConfig, RunResult, run_experiment
from seit_cl.core.cli import hint
from seit_cl.core.devices import share_machine
from seit_cl.core.errors import UserError, nearest

SHARED = RunConfig(experiences=5, cutmix_p=0.0, token_rrc=0.6, fill="after", strategy="er")
SEEDS = (0, 1, 2, 3, 4)
ORDER_SEED = 1993  # class order of seed 0; seed s has that of 1993 + s, as --paired-orders


@dataclass(frozen=True, kw_only=True)
class PlanOptions:
    """Options that all planned studies have."""

    data_root: Annotated[Path, hint("bench-mini: image folder, train/ and val/")]
    out: Annotated[Path, hint("folder of the results")]
    seed: Annotated[tuple[int, ...], hint("each has a class order of its own")] = SEEDS
    jobs: Annotated[int, hint("runs beside one another")] = 1
    dry_run: Annotated[bool, hint("list the runs and stop")] = False
    write: Annotated[Path | None, hint("file to write the page into")] = None


@dataclass(frozen=True)
class Case:
    """One run.

    Args:
        folder: its group's, below --out.
        config: its options.
    """

    folder: str
    config: RunConfig


def of_seed(config: RunConfig, seed: int) -> RunConfig:
    """Give options a seed and the class order that belongs to it, so that runs are paired by it."""
    return replace(config, seed=seed, class_order_seed=ORDER_SEED + seed)


def require_known(kind: str, names: Iterable[str], known: Iterable[str]) -> None:
    """Check names that an option was given.

    Args:
        kind: of things named, and the option's name: "arm" for --arm.
        names: as typed.
        known: those that exist.

    Raises:
        UserError: naming the one that does not exist.
    """
    known = tuple(known)
    for name in names:
        if name not in known:
            raise UserError(f"--{kind} {name}: no such {kind}; {nearest(name, known)}")


def make(out: Path, case: Case) -> RunResult:
    """Make a run unless it has finished, and return its result.

    Args:
        out: folder of the results.
        case: the run.
    """
    return run_experiment(case.config, out / case.folder)


def run_all(planned: Sequence[Case], options: PlanOptions) -> None:
    """Make runs, with a line for each that ends; --dry-run lists them alone.

    Args:
        planned: all runs, most important first.
        options: folder of the results, and the number of runs beside one another.
    """
    console = Console(soft_wrap=True)
    if options.dry_run:
        for number, case in enumerate(planned, 1):
            console.print(f"{number} of {len(planned)}: {case.folder}, seed {case.config.seed}")
        return
    makes = _one_by_one if options.jobs == 1 else _beside_one_another
    for number, (case, accuracy) in enumerate(makes(planned, options), 1):
        line = f"{number} of {len(planned)}: {case.folder}, seed {case.config.seed}"
        console.print(f"{line}: {100 * accuracy:.1f} %")


def _one_by_one(planned: Sequence[Case], options: PlanOptions) -> Iterator[tuple[Case, float]]:
    """Runs and their final accuracies, made in this process."""
    for case in planned:
        yield case, _accuracy(options.out, case)


def _beside_one_another(
    planned: Sequence[Case], options: PlanOptions
) -> Iterator[tuple[Case, float]]:
    """Runs and their final accuracies as they end, made in processes of their own."""
    context = multiprocessing.get_context("spawn")
    jobs = options.jobs
    with ProcessPoolExecutor(jobs, context, _begin_worker, (jobs,)) as processes:
        running = {processes.submit(_accuracy, options.out, case): case for case in planned}
        try:
            for done in as_completed(running):
                yield running[done], done.result()
        except BaseException:
            processes.shutdown(cancel_futures=True)  # the rest would fail likewise, and late
            raise


def _accuracy(out: Path, case: Case) -> float:
    """Make a run and return its final accuracy, all of it that goes from a worker to its parent."""
    return make(out, case).final_accuracy


def _begin_worker(jobs: int) -> None:
    """Share the machine with other workers, and end with the parent, however that ends."""
    share_machine(jobs)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
