"""Runs an hour of a grid for several numbers of runs beside one another, and their memory.

Every grid is a command of its own, `python -m seit_cl.run --jobs N`, with as many runs for each
job, on data that are tokenized before. It is measured until its last run has ended, and its report
is left out. A round takes every number of jobs once, so that a slow period affects all of them
alike. Main memory is that of the command and its workers: proportional set size, where a page that
k processes share counts as 1/k in each.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import psutil
import torch
import tyro

from benchmarks.measure import Spread, round_ratios
from seit_cl.command_line import parse
from seit_cl.core.cli import run_command
from seit_cl.core.devices import allowed_cores, choose_device
from seit_cl.core.errors import UserError
from seit_cl.experiment.modality import build_modality
from seit_cl.experiment.run_data import RunData
from seit_cl.grid import expand
from seit_cl.reporting.markdown import page, table, typed_command, write_page
from seit_cl.results.run_files import read_runs

SAMPLING = 0.25  # seconds between two looks at the grid and its memory
TAIL = 500  # characters of a failed command's output that are shown


@dataclass(frozen=True)
class Options:
    """Options of the jobs benchmark."""

    jobs: Annotated[
        tuple[int, ...],
        tyro.conf.arg(help="numbers of runs beside one another; the first is the baseline"),
    ] = (1, 2)
    runs: Annotated[
        int, tyro.conf.arg(help="runs of a grid for each job; they differ in their seed")
    ] = 2
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
        runs: number of runs.
        start: seconds from the command to the first run's start.
        total: seconds from the command to the last run's end.
        main_memory: most bytes that the processes held together.
        device_memory: most bytes of a GPU in use, beyond those before; 0 on a CPU.
    """

    runs: int
    start: float
    total: float
    main_memory: int
    device_memory: int

    @property
    def hourly(self) -> float:
        """Runs an hour, the start included."""
        return 3600 * self.runs / self.total

    @property
    def hourly_after_start(self) -> float:
        """Runs an hour, counted from the first run's start."""
        return 3600 * self.runs / (self.total - self.start)


def run_options(options: Options, runs: int) -> list[str]:
    """Return the words of a grid's command line, without its jobs and its folder."""
    words = ["--epochs", str(options.epochs), "--model", options.model, "--device", options.device]
    if options.data_root is not None:
        words += ["--data-root", str(options.data_root)]
    return [*words, "--seed", *map(str, range(runs))]


def time_grid(options: Options, jobs: int) -> GridTime:
    """Run the command on a grid and measure it.

    Raises:
        UserError: the command or one of its runs fails.
    """
    device = choose_device(options.device)
    runs = options.runs * jobs
    command = [sys.executable, "-m", "seit_cl.run", *run_options(options, runs)]
    device_before = device_bytes(device)
    main_memory = device_memory = 0
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        log = Path(folder) / "log"
        command += ["--jobs", str(jobs), "--out", str(out)]
        began = time.time()
        with log.open("w") as output:
            process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        while process.poll() is None and len(list(out.glob("*/facts.json"))) < runs:
            main_memory = max(main_memory, proportional_bytes(process.pid))
            device_memory = max(device_memory, device_bytes(device) - device_before)
            time.sleep(SAMPLING)
        process.terminate()
        process.wait()
        if [run.status for run in read_runs(out)] != ["finished"] * runs:
            raise UserError(f"{' '.join(command)}: failed; it printed {log.read_text()[-TAIL:]!r}")
        starts = [path.stat().st_mtime for path in out.glob("*/config.yaml")]
        ends = [path.stat().st_mtime for path in out.glob("*/facts.json")]
    start = min(starts) - began
    return GridTime(runs, start, max(ends) - began, main_memory, device_memory)


def device_bytes(device: torch.device) -> int:
    """Return the bytes of a GPU that all of its users hold; 0 for a CPU."""
    if device.type != "cuda":
        return 0
    free, total = torch.cuda.mem_get_info(device)
    return total - free


def proportional_bytes(pid: int) -> int:
    """Sum up the proportional set sizes of a process and its children, those that run now."""
    size = 0
    try:
        parent = psutil.Process(pid)
        family = [parent, *parent.children(recursive=True)]
    except psutil.Error:
        return 0
    for process in family:
        with contextlib.suppress(psutil.Error):
            size += process.memory_full_info().pss
    return size


def prepare(options: Options) -> None:
    """Tokenize the data, which no grid shall do in its time."""
    config = expand(parse(run_options(options, 1)))[0]
    build_modality(config.learner, RunData(config)).prepare()


def measure(options: Options) -> Iterator[dict[int, list[GridTime]]]:
    """Measure every number of jobs once in every round.

    Yields:
        All measurements so far by number of jobs, after each.
    """
    prepare(options)
    times: dict[int, list[GridTime]] = {}
    for index in range(options.rounds):
        first = index % len(options.jobs)
        for jobs in options.jobs[first:] + options.jobs[:first]:
            times.setdefault(jobs, []).append(time_grid(options, jobs))
            yield times


def report(options: Options, times: dict[int, list[GridTime]], typed: str) -> str:
    """Return the page in Markdown."""
    device = choose_device(options.device)
    head = ["jobs", "threads a run", "runs", "runs an hour", "ratio", "after the start", "start, s"]
    head.append("main memory, GB")
    if device.type == "cuda":
        head.append("device memory, GB")
    baseline = [grid.hourly for grid in times.get(options.jobs[0], [])]
    rows = []
    for jobs, grids in sorted(times.items()):
        hourly = [grid.hourly for grid in grids]
        ratio = "" if len(baseline) != len(grids) else round_ratios(hourly, baseline).text(2)
        threads = max(1, min(torch.get_num_threads(), allowed_cores() // jobs))
        row = [str(jobs), str(threads), str(grids[0].runs), Spread.of(hourly).text(), ratio]
        row.append(Spread.of([grid.hourly_after_start for grid in grids]).text())
        row.append(Spread.of([grid.start for grid in grids]).text(1))
        row.append(f"{max(grid.main_memory for grid in grids) / 1e9:.2f}")
        if device.type == "cuda":
            row.append(f"{max(grid.device_memory for grid in grids) / 1e9:.2f}")
        rows.append(row)
    data = options.data_root or "built-in fractals"
    rounds = max(len(grids) for grids in times.values())
    about = (
        f"Grids of {options.runs} runs for each job, which differ in their seed: {options.model} "
        f"ViT, {options.epochs} epochs an experience, {data}, tokenized before. Median "
        f"(lowest–highest) of {rounds} rounds, in which every number of jobs has its turn; "
        f"ratios to {options.jobs[0]} are those of a round. Runs an hour include the start: "
        "imports, opening the data and starting the workers, until the first run begins. Main "
        "memory is the most that all processes of a grid held, shared pages counted once."
    )
    return page("Jobs", typed, device, [about, table(head, rows)])


def main() -> None:
    """Measure, print, and write the page, if asked to, after every grid."""
    options = tyro.cli(Options, description=__doc__)
    typed = typed_command("benchmarks.jobs")
    text = ""
    for times in measure(options):
        text = report(options, times, typed)
        write_page(text, options.write)
    print(text)


if __name__ == "__main__":
    run_command(main)
