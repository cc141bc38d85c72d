"""Two checkouts of the project beside one another: images per second of training and of replay.

Each checkout runs in a process of its own, on one thread. Rounds alternate between them, so that a
slow period of the machine affects both.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
import tyro

from benchmarks.measure import Spread, round_ratios
from benchmarks.version_worker import FIGURES, READY
from seit_cl.core.cli import run_command
from seit_cl.core.errors import UserError
from seit_cl.reporting.markdown import page, publish, table, typed_command

WORKER = Path(__file__).with_name("version_worker.py")


@dataclass(frozen=True)
class Options:
    """Options of the comparison of two checkouts."""

    old: Annotated[Path, tyro.conf.arg(help="folder of the earlier checkout (git worktree add)")]
    new: Annotated[Path, tyro.conf.arg(help="folder of the later checkout")] = Path()
    rounds: Annotated[int, tyro.conf.arg(help="interleaved rounds of measurement")] = 15
    figures: Annotated[tuple[str, ...], tyro.conf.arg(help="what to measure")] = tuple(FIGURES)
    write: Annotated[
        Path | None,
        tyro.conf.arg(help="Markdown file to write, e.g. benchmarks/results/versions.md"),
    ] = None


class Checkout:
    """A checkout that measures its own code, in a process of its own.

    Args:
        root: its folder.

    Raises:
        UserError: the folder is no checkout with benchmarks, or its process fails.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        if not (self.root / "benchmarks" / "step.py").is_file():
            raise UserError(f"{root}: not a checkout with benchmarks; make one by git worktree add")
        self.process = subprocess.Popen(
            [sys.executable, str(WORKER), str(self.root)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        self._answer()

    def measure(self, figure: str) -> float:
        """Measure images per second of one of FIGURES."""
        assert self.process.stdin is not None
        print(figure, file=self.process.stdin, flush=True)
        return float(self._answer())

    def _answer(self) -> str:
        """Read the process's next answer; other lines that it prints are skipped."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith(READY):
                return line.removeprefix(READY).strip()
        raise UserError(f"{self.root}: its process ended; try python {WORKER.name} {self.root}")


@contextmanager
def checkouts(options: Options) -> Iterator[tuple[Checkout, Checkout]]:
    """Start both checkouts, and end their processes."""
    old = Checkout(options.old)
    try:
        new = Checkout(options.new)
        try:
            yield old, new
        finally:
            new.process.kill()
    finally:
        old.process.kill()


@dataclass(frozen=True)
class Result:
    """Images per second of a figure in both checkouts, and the ratio of the same round."""

    old: Spread
    new: Spread
    ratio: Spread


def measure(options: Options) -> dict[str, Result]:
    """Measure every figure in alternating rounds.

    Raises:
        UserError: an unknown figure, or a folder that is no checkout.
    """
    for figure in options.figures:
        if figure not in FIGURES:
            raise UserError(f"--figures {figure}: unknown; use {', '.join(FIGURES)}")
    results = {}
    with checkouts(options) as (old, new):
        for figure in options.figures:
            rates: dict[Checkout, list[float]] = {old: [], new: []}
            for checkout in rates:
                checkout.measure(figure)  # warms up
            for index in range(options.rounds):
                order = (old, new) if index % 2 else (new, old)
                for checkout in order:
                    rates[checkout].append(checkout.measure(figure))
            results[figure] = Result(
                Spread.of(rates[old]), Spread.of(rates[new]), round_ratios(rates[new], rates[old])
            )
    return results


def report(results: dict[str, Result], options: Options, typed: str) -> str:
    """Write the page of the results, in Markdown."""
    about = (
        f"Images/s of two checkouts, each on one thread of the CPU: {options.rounds} alternating "
        "rounds, median (10th–90th percentile). A ratio compares the same round. Steps have 32 "
        "fresh samples and 32 exemplars of 64 px and the micro ViT; replay makes batches of 128."
    )
    rows = []
    for figure, result in results.items():
        rows.append([figure, result.old.text(), result.new.text(), result.ratio.text(3)])
    head = ["", "earlier", "later", "later over earlier"]
    return page("Versions", typed, torch.device("cpu"), [about, table(head, rows)])


def main() -> None:
    """Measure, print the page, and write it if asked to."""
    options = tyro.cli(Options, description=__doc__)
    text = report(measure(options), options, typed_command("benchmarks.versions"))
    publish(text, options.write)


if __name__ == "__main__":
    run_command(main)
