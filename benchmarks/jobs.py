"""Runs an hour of a grid for several numbers of runs beside one another, and their memory.

Every grid is a command of its own, `python -m seit_cl.run --jobs N`, on data that are tokenized
before. A round takes every number of jobs once, so that a slow period affects all of them alike.
Memory is that of the command and its workers: proportional set size, where a page that k processes
share counts as 1/k in each.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import psutil
import torch
import tyro
from rich.console import Console

from benchmarks.measure import Spread, round_ratios
from seit_cl.core.cli import run_command
from seit_cl.core.devices import allowed_cores, choose_device
from seit_cl.core.errors import UserError
from seit_cl.core.progress import progress_bars
from seit_cl.experiment.shared_data import open_data
from seit_cl.grid import expand, parse
from seit_cl.reporting.markdown import page, publish, table, typed_command

SAMPLING = 0.5  # seconds between two looks at the memory
TAIL = 500  # characters of a failed command's output that are shown


@dataclass(frozen=True)
class Options:
    """Options of the jobs benchmark."""

    jobs: Annotated[
        tuple[int, ...],
        tyro.conf.arg(help="numbers of runs beside one another; the first is the baseline"),
    ] = (1, 2)
    runs: Annotated[
        int,
        tyro.conf.arg(help="runs of a grid, which differ in their seed; 0: twice the most jobs"),
    ] = 0
    rounds: Annotated[int, tyro.conf.arg(help="grids for each number of jobs")] = 1
    epochs: Annotated[int, tyro.conf.arg(help="epochs of an experience")] = 2
    model: Annotated[
        Literal["micro", "tiny", "small", "base"], tyro.conf.arg(help="size of the ViT")
    ] = "micro"
    device: Annotated[Literal["cpu", "cuda"], tyro.conf.arg(help="where the learners train")] = (
        "cpu"
    )
    data_root: Annotated[
        Path | None, tyro.conf.arg(help="image folder; none: built-in fractals")
    ] = None
    write: Annotated[
        Path | None, tyro.conf.arg(help="Markdown file to write, e.g. benchmarks/results/jobs.md")
    ] = None


@dataclass(frozen=True)
class GridTime:
    """Measurements of one grid.

    Args:
        start: seconds from the command to the first run's start.
        total: seconds from the command to the last run's end; the report comes later.
        main_memory: most bytes that the processes held together.
        device_memory: most bytes of the device that were in use, beyond those before; 0 on a CPU.
    """

    start: float
    total: float
    main_memory: int
    device_memory: int


def run_options(options: Options) -> list[str]:
    """Return the words of the grid's command line, without its jobs and its folder."""
    runs = options.runs or 2 * max(options.jobs)
    words = ["--epochs", str(options.epochs), "--model", options.model, "--device", options.device]
    if options.data_root is not None:
        words += ["--data-root", str(options.data_root)]
    return [*words, "--seed", *map(str, range(runs))]


def time_grid(words: list[str], jobs: int, device: torch.device) -> GridTime:
    """Run the command on a grid and measure it.

    Raises:
        UserError: the command fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        command = [sys.executable, "-m", "seit_cl.run", *words]
        command += ["--jobs", str(jobs), "--out", str(out)]
        began = time.time()
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        with Sampler(process.pid, device) as sampler:
            printed, _ = process.communicate()
        if process.returncode:
            raise UserError(f"{' '.join(command)}: failed; its output ends: {printed[-TAIL:]}")
        starts = [path.stat().st_mtime for path in out.glob("*/config.yaml")]
        ends = [path.stat().st_mtime for path in out.glob("*/facts.json")]
    return GridTime(
        min(starts) - began, max(ends) - began, sampler.main_memory, sampler.device_memory
    )


class Sampler:
    """A thread that looks at the memory of a process and its children while a block runs.

    Args:
        pid: of the process.
        device: whose memory is looked at too, if it is a GPU; all of its users count.
    """

    def __init__(self, pid: int, device: torch.device) -> None:
        self._process = psutil.Process(pid)
        self._device = device
        self._before = self._device_bytes()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self.main_memory = 0
        self.device_memory = 0

    def __enter__(self) -> Sampler:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._ended.wait(SAMPLING):
            self.main_memory = max(self.main_memory, proportional_bytes(self._process))
            self.device_memory = max(self.device_memory, self._device_bytes() - self._before)

    def _device_bytes(self) -> int:
        if self._device.type != "cuda":
            return 0
        free, total = torch.cuda.mem_get_info(self._device)
        return total - free


def proportional_bytes(process: psutil.Process) -> int:
    """Sum up the proportional set sizes of a process and its children, 0 for those that ended."""
    size = 0
    try:
        family = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    for member in family:
        try:
            size += member.memory_full_info().pss
        except psutil.Error:
            continue
    return size


def measure(options: Options) -> dict[int, list[GridTime]]:
    """Measure every number of jobs once in every round.

    Returns:
        Measurements by number of jobs, one per round.
    """
    words = run_options(options)
    device = choose_device(options.device)
    prepare(words)
    times: dict[int, list[GridTime]] = {jobs: [] for jobs in options.jobs}
    for index in range(options.rounds):
        first = index % len(options.jobs)
        for jobs in options.jobs[first:] + options.jobs[:first]:
            times[jobs].append(time_grid(words, jobs, device))
    return times


def prepare(words: list[str]) -> None:
    """Tokenize the data, which no grid shall do in its time."""
    with tempfile.TemporaryDirectory() as folder, progress_bars(Console(stderr=True)) as bars:
        open_data(expand(parse(words)), Path(folder), bars)


def report(options: Options, times: dict[int, list[GridTime]], typed: str) -> str:
    """Return the page in Markdown."""
    runs = options.runs or 2 * max(options.jobs)
    device = choose_device(options.device)
    baseline = [grid.total for grid in times[options.jobs[0]]]
    head = ["jobs", "threads a run", "runs an hour", "ratio", "after the start", "start, s"]
    head.append("main memory, GB")
    if device.type == "cuda":
        head.append("device memory, GB")
    rows = []
    for jobs, grids in times.items():
        hourly = [3600 * runs / grid.total for grid in grids]
        after_start = [3600 * runs / (grid.total - grid.start) for grid in grids]
        memory = max(grid.main_memory for grid in grids) / 1e9
        row = [str(jobs), str(max(1, allowed_cores() // jobs))]
        row += [Spread.of(hourly).text(), round_ratios(baseline, [g.total for g in grids]).text(2)]
        row += [Spread.of(after_start).text(), Spread.of([g.start for g in grids]).text(1)]
        row.append(f"{memory:.2f}")
        if device.type == "cuda":
            row.append(f"{max(grid.device_memory for grid in grids) / 1e9:.2f}")
        rows.append(row)
    data = options.data_root or "built-in fractals"
    about = (
        f"A grid of {runs} runs, which differ in their seed: {options.model} ViT, "
        f"{options.epochs} epochs an experience, {data}, tokenized before. Median (lowest–highest) "
        f"of {options.rounds} rounds, in which every number of jobs has its turn; ratios are those "
        "of a round. Runs an hour include the start (imports, opening the data, starting the "
        "workers) and not the report. Main memory is the most that all processes of a grid held, "
        "shared pages counted once."
    )
    return page("Jobs", typed, device, [about, table(head, rows)])


def main() -> None:
    """Measure, print, and write the page if asked to."""
    options = tyro.cli(Options, description=__doc__)
    typed = typed_command("benchmarks.jobs")
    publish(report(options, measure(options), typed), options.write)


if __name__ == "__main__":
    run_command(main)
