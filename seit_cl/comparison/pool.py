"""Runs of a comparison in processes beside one another, each with its share of the cores and data of its own."""

from __future__ import annotations

import io
import math
import multiprocessing
import time
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import Progress

from seit_cl.config import RunConfig
from seit_cl.core.devices import allowed_cores, limit_threads
from seit_cl.core.errors import UserError
from seit_cl.experiment.experiment import Experiment
from seit_cl.experiment.run_data import RunData
from seit_cl.grid import is_finished, run_folder, run_id
from seit_cl.reporting.grouping import budget_binds
from seit_cl.results.metrics import final_accuracy
from seit_cl.results.run_files import Run, read_run
from seit_cl.run import open_data, say_of_memory

_DATA: dict[str, RunData] = {}  # of this process, by learner prepared for


@contextmanager
def processes(jobs: int) -> Iterator[ProcessPoolExecutor]:
    """Processes for `run_all`; once something goes wrong they start nothing more."""
    # Spawned, for a forked process cannot use CUDA.
    context, threads = multiprocessing.get_context("spawn"), max(1, allowed_cores() // jobs)
    with ProcessPoolExecutor(jobs, context, _start, (threads,)) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def run_all(
    pool: ProcessPoolExecutor, configs: list[RunConfig], out: Path, command: str, console: Console
) -> None:
    """Run all of them in their order, as many at a time as there are processes; a run that cannot be is named and the others
    go on.

    Args:
        pool: of `processes`.
        configs: unfinished runs on the same data.
        out: folder of the results.
        command: what the user typed, for environment.json.
        console: a line for every run as it ends.

    Raises:
        KeyboardInterrupt: runs under way stop and can be resumed.
    """
    began = time.monotonic()
    waiting = {pool.submit(_run, config, out, command): config for config in configs}
    for done, future in enumerate(as_completed(waiting), 1):
        left = (time.monotonic() - began) / done * (len(configs) - done)
        told = f"{run_id(waiting[future])}: {_told(future)}"
        console.print(
            f"{done}/{len(configs)} {told}; about {left / 60:.0f} min left",
            highlight=False,
            markup=False,
        )


def _told(future: Future[str]) -> str:
    """What a run said in the end, or why it could not be."""
    try:
        return future.result()
    except UserError as error:
        return f"error: {error}"


def _start(threads: int) -> None:
    """Prepare a process."""
    torch.set_num_threads(threads)
    limit_threads()


def _run(config: RunConfig, out: Path, command: str) -> str:
    """One run in this process; returns how it ended."""
    same = finished_run(config, out)
    if same is not None:
        return f"left out: {same.run_id} did not fill its memory, so this would be the same run"
    if config.learner not in _DATA:
        quiet = Progress(disable=True, console=Console(file=io.StringIO()))
        _DATA[config.learner] = open_data(
            [config], out, quiet
        )  # and checks that earlier results are of the same
    words = Console(file=io.StringIO(), width=1000)
    experiment = Experiment(config, _DATA[config.learner], run_folder(out, config), command)
    experiment.run()
    say_of_memory(experiment, words)
    run = read_run(experiment.run_dir)
    notes = [line.partition(": ")[2] for line in words.file.getvalue().splitlines()]  # type: ignore[attr-defined]
    parts = [
        f"{100 * final_accuracy(run.accuracy):.1f} %",
        f"{float(run.get('train_seconds')):.0f} s of training",
        *notes,
    ]
    return ", ".join(parts)


def finished_run(config: RunConfig, out: Path) -> Run | None:
    """The run of a configuration, finished, or one that differs by a smaller budget alone and did not fill it: with more
    bytes it would be the same run."""
    if is_finished(config, run_folder(out, config)):
        return read_run(run_folder(out, config))
    others = run_id(config).replace(f"_{config.memory_mb:.12g}MB_", "_*MB_")
    for path in sorted(out.glob(f"{others}/facts.json")):
        run = read_run(path.parent)
        smaller = replace(config, memory_mb=float(run.config.get("memory_mb", math.inf)))
        known = (
            run.status == "finished"
            and run.run_id == run_id(smaller)
            and smaller.memory_mb < config.memory_mb
        )
        if known and is_finished(smaller, path.parent) and not budget_binds(run):
            return run
    return None
