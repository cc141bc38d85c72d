"""Runs in parallel processes, each with its share of the cores and its own copy of the data."""

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
from seit_cl.experiment.memory_notes import memory_notes
from seit_cl.experiment.run_data import RunData
from seit_cl.experiment.shared_data import open_data
from seit_cl.grid import is_finished, run_folder, run_id
from seit_cl.reporting.grouping import budget_binds
from seit_cl.results.metrics import final_accuracy
from seit_cl.results.run_files import Run, read_run

_DATA: dict[str, RunData] = {}  # of this process, by the learner that it was prepared for


@contextmanager
def open_pool(jobs: int) -> Iterator[ProcessPoolExecutor]:
    """Open a pool of processes for `run_all`; an error in the block cancels what has not begun.

    Args:
        jobs: number of processes.
    """
    context = multiprocessing.get_context("spawn")  # a forked process cannot use CUDA
    threads = max(1, allowed_cores() // jobs)
    with ProcessPoolExecutor(jobs, context, _start_process, (threads,)) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def run_all(
    pool: ProcessPoolExecutor, configs: list[RunConfig], out: Path, command: str, console: Console
) -> None:
    """Run all configurations; one that fails for bad input is printed and the others go on.

    Args:
        pool: from `open_pool`.
        configs: unfinished runs on the same data.
        out: folder of the results.
        command: as typed, for environment.json.
        console: gets a line for every run that ends.

    Raises:
        KeyboardInterrupt: runs in progress stop and can be resumed.
    """
    began = time.monotonic()
    futures = {pool.submit(_run, config, out, command): config for config in configs}
    for done, future in enumerate(as_completed(futures), 1):
        seconds_each = (time.monotonic() - began) / done
        minutes_left = seconds_each * (len(configs) - done) / 60
        name = run_id(futures[future])
        line = (
            f"{done}/{len(configs)} {name}: {_outcome(future)}; about {minutes_left:.0f} min left"
        )
        console.print(line, highlight=False, markup=False)


def finished_run(config: RunConfig, out: Path) -> Run | None:
    """Return the finished run of a configuration, or an equal one of a smaller budget.

    A run whose memory did not fill is the same run at every larger budget.

    Args:
        config: of the run.
        out: folder of the results.
    """
    own = run_folder(out, config)
    if is_finished(config, own):
        return read_run(own)
    at_any_budget = run_id(config).replace(f"_{config.memory_mb:.12g}MB_", "_*MB_")
    for path in sorted(out.glob(f"{at_any_budget}/facts.json")):
        run = read_run(path.parent)
        budget = float(run.config.get("memory_mb", math.inf))
        smaller = replace(config, memory_mb=budget)
        if run.status != "finished" or run.run_id != run_id(smaller):
            continue
        if budget >= config.memory_mb or budget_binds(run):
            continue
        if is_finished(smaller, path.parent):
            return run
    return None


def _start_process(threads: int) -> None:
    torch.set_num_threads(threads)
    limit_threads()


def _run(config: RunConfig, out: Path, command: str) -> str:
    """Run a configuration in this process and return its outcome in a line."""
    equal = finished_run(config, out)
    if equal is not None:
        return f"left out: {equal.run_id} did not fill its memory, so this would be the same run"
    if config.learner not in _DATA:
        hidden = Progress(disable=True, console=Console(file=io.StringIO()))
        # Opening the data checks that earlier results in `out` are of the same images.
        _DATA[config.learner] = open_data([config], out, hidden)
    experiment = Experiment(config, _DATA[config.learner], run_folder(out, config), command)
    experiment.run()
    run = read_run(experiment.run_dir)
    accuracy = f"{100 * final_accuracy(run.accuracy):.1f} %"
    seconds = f"{float(run.get('train_seconds')):.0f} s of training"
    notes = memory_notes(experiment.memory, len(experiment.class_names))
    return ", ".join([accuracy, seconds, *notes])


def _outcome(future: Future[str]) -> str:
    """Return what a run returned, or its error."""
    try:
        return future.result()
    except UserError as error:
        return f"error: {error}"
