"""How long a report of many runs takes. The runs are made from real ones: other seeds, some budgets doubled, answers drawn again
at the measured accuracies; environment.json says so.

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

import numpy as np
import pandas as pd

from seit_cl.core.machine import processor_name
from seit_cl.results import run_files
from seit_cl.results.run_files import Run, read_runs

FIRST_SEED = 100
LIMIT = 30  # seconds, that a report of 500 runs may take on two cores
SCALED = ("memory_bytes", "exemplars", "used_bytes", "payload_bytes")


def make_runs(source: Path, out: Path, count: int) -> None:
    """Writes `count` runs into the folder out, made from the finished ones of source in turns."""
    real = [run for run in read_runs(source) if run.status == "finished"]
    if not real:
        sys.exit(f"error: {source}: no finished runs; give a folder of results")
    for number in range(count):
        make_run(real[number % len(real)], out, number // len(real), np.random.default_rng(number))


def make_run(run: Run, out: Path, turn: int, random: np.random.Generator) -> None:
    """One run like another, with a seed of its own; at every third turn with twice the memory."""
    seed = FIRST_SEED * (turn + 1) + int(run.get("seed", 0))
    scale = 2 if turn % 3 == 2 and run.get("memory_bytes") else 1
    target = out / f"{run.run_id.rpartition('_seed')[0]}_x{scale}_seed{seed}"
    made = {
        **run.environment,
        "made": "by benchmarks.report from a run's results; nothing was trained",
    }
    run_files.start_run(
        target, {**run.config, "seed": seed, "memory_mb": scale * run.config["memory_mb"]}, made
    )
    accuracy = run.accuracy.copy()
    share = (accuracy["correct"] / accuracy["total"].clip(lower=1)).clip(0, 1)
    accuracy["correct"] = random.binomial(accuracy["total"], share)
    run_files.write_accuracy(target, accuracy.to_dict("records"))
    if run.memory is not None:
        run_files.write_memory(target, _scaled(run.memory, scale).to_dict("records"))
    facts = {**run.metadata, "seed": seed, **{name: scale * run.metadata[name] for name in SCALED}}
    shown = run.path / "exemplars.npz"
    if shown.is_file():
        (target / shown.name).write_bytes(shown.read_bytes())
    run_files.finish_run(target, facts)


def _scaled(memory: pd.DataFrame, scale: int) -> pd.DataFrame:
    return memory.assign(value=memory["value"] * scale)


def timed_report(folder: Path) -> float:
    """Seconds of the command, from its start to its end, in a process of its own."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "seit_cl.report", str(folder)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=os.getcwd())
    return time.perf_counter() - began


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.split(".")[0])
    parser.add_argument("--source", type=Path, required=True, help="folder of real results")
    parser.add_argument("--runs", type=int, default=500, help="runs to make")
    parser.add_argument(
        "--out", type=Path, help="where they and the report stay; none: a temporary folder"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        out = options.out or Path(temporary)
        make_runs(options.source, out, options.runs)
        seconds = [timed_report(out) for _ in range(3)]
    said = ", ".join(f"{value:.1f}" for value in sorted(seconds))
    print(
        f"{processor_name()}, {os.cpu_count()} cores\n{options.runs} runs: {said} s (limit {LIMIT} s)"
    )
    if options.runs <= 500 and min(seconds) > LIMIT:
        sys.exit(1)


if __name__ == "__main__":
    main()
