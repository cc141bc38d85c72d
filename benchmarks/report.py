"""Time that a report of many runs takes.

The runs are made from real ones: with other seeds, at every third turn with twice the memory, and
with test answers drawn again at the measured accuracies. Their environment.json says so.

    python -m benchmarks.report --source DIR --runs 500
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from seit_cl.core.machine import processor_name
from seit_cl.results import run_writer
from seit_cl.results.metrics import TOP5
from seit_cl.results.run_files import Run, read_runs

FIRST_SEED = 100  # of the runs made; real ones have smaller seeds
REPEATS = 3
MAX_RUNS = 500
MAX_SECONDS = 30  # that a report of MAX_RUNS runs may take on two cores
SCALED = ("memory_bytes", "exemplars", "used_bytes", "payload_bytes")  # with the memory
ORIGIN = "by benchmarks.report from a run's results; nothing was trained"


def make_runs(source: Path, out: Path, count: int) -> None:
    """Write `count` runs into the folder out, made from the finished ones of source in turns."""
    real = [run for run in read_runs(source) if run.status == "finished"]
    if not real:
        sys.exit(f"error: {source}: no finished runs; give a folder of results")
    for number in range(count):
        random = np.random.default_rng(number)
        make_run(real[number % len(real)], out, number // len(real), random)


def make_run(run: Run, out: Path, turn: int, random: np.random.Generator) -> None:
    """Write one run that is like another.

    Args:
        run: the real run.
        out: folder of the results.
        turn: number of runs already made from this one; it decides the seed and the memory.
        random: draws the answers.
    """
    seed = FIRST_SEED * (turn + 1) + int(run.get("seed", 0))
    scale = 2 if turn % 3 == 2 and run.get("memory_bytes") else 1
    run_dir = out / f"{run.run_id.rpartition('_seed')[0]}_x{scale}_seed{seed}"
    config = {**run.config, "seed": seed, "memory_mb": scale * run.config["memory_mb"]}
    run_writer.start_run(run_dir, config, {**run.environment, "made": ORIGIN})
    accuracy = run.accuracy.drop(columns=TOP5, errors="ignore")
    share = (accuracy["correct"] / accuracy["total"].clip(lower=1)).clip(0, 1)
    accuracy["correct"] = random.binomial(accuracy["total"], share)
    run_writer.write_accuracy(run_dir, _rows(accuracy))
    if run.memory is not None:
        memory = run.memory.assign(value=run.memory["value"] * scale)
        run_writer.write_memory(run_dir, _rows(memory))
    pictures = run.path / "exemplars.npz"
    if pictures.is_file():
        (run_dir / pictures.name).write_bytes(pictures.read_bytes())
    scaled = {name: scale * run.metadata[name] for name in SCALED}
    run_writer.finish_run(run_dir, {**run.metadata, "seed": seed, **scaled})


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table, by column."""
    columns = [str(column) for column in frame.columns]
    return [dict(zip(columns, row, strict=True)) for row in frame.itertuples(index=False)]


def time_report(folder: Path) -> float:
    """Measure the seconds of the report command, in a process of its own."""
    command = [sys.executable, "-m", "seit_cl.report", str(folder)]
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    """Make the runs, time their report, and exit with 1 if it takes too long."""
    parser = argparse.ArgumentParser(description="Time that a report of many runs takes.")
    parser.add_argument("--source", type=Path, required=True, help="folder of real results")
    parser.add_argument("--runs", type=int, default=MAX_RUNS, help="number of runs to make")
    parser.add_argument(
        "--out", type=Path, help="folder of the runs and the report; by default a temporary one"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        out = options.out or Path(temporary)
        make_runs(options.source, out, options.runs)
        seconds = sorted(time_report(out) for _ in range(REPEATS))
    times = ", ".join(f"{value:.1f}" for value in seconds)
    print(f"{processor_name()}, {os.cpu_count()} cores")
    print(f"{options.runs} runs: {times} s (limit {MAX_SECONDS} s)")
    if options.runs <= MAX_RUNS and seconds[0] > MAX_SECONDS:
        sys.exit(1)


if __name__ == "__main__":
    main()
