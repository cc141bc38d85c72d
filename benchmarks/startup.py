"""Seconds until commands answer --help, a wrong option or a list, in two checkouts.

Rounds alternate between the checkouts, so that a slow period of the machine affects both. Every
command is a process of its own; the smallest time of all rounds counts, since other programs only
add to it.
"""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
import tyro

from seit_cl.core.cli import run_command
from seit_cl.core.errors import UserError
from seit_cl.reporting.markdown import page, publish, table, typed_command

# Runs a module of a checkout as `python -m` does; strategies/ and scenarios/ lie beside seit_cl/.
RUN = """
import runpy, sys
root, *words = sys.argv[1:]
sys.path.insert(0, root)
import seit_cl
seit_cl.__path__.append(root)
sys.argv = words
runpy.run_module(words[0], run_name="__main__", alter_sys=True)
"""
COMMANDS = (
    "seit_cl.run --help",
    "seit_cl.run --epoch 1",
    "seit_cl.run --strategy err",
    "seit_cl.compare --help",
    "seit_cl.report --help",
    "seit_cl.density --help",
    "seit_cl.tokenize --help",
    "seit_cl.tokenize list",
    "seit_cl.strategies",
    "seit_cl.scenarios",
)


@dataclass(frozen=True)
class Options:
    """Options of the comparison."""

    old: Annotated[Path, tyro.conf.arg(help="folder of the earlier checkout (git worktree add)")]
    new: Annotated[Path, tyro.conf.arg(help="folder of the later checkout")] = Path()
    rounds: Annotated[int, tyro.conf.arg(help="alternating rounds")] = 5
    write: Annotated[Path | None, tyro.conf.arg(help="Markdown file to write")] = None


def seconds(root: Path, command: str) -> float:
    """Time one command of a checkout.

    Raises:
        UserError: the folder is no checkout, or the command fails in it.
    """
    if not (root / "seit_cl" / "__init__.py").is_file():
        raise UserError(f"{root}: not a checkout; make one by git worktree add")
    started = time.perf_counter()
    ended = subprocess.run(
        [sys.executable, "-c", RUN, str(root.resolve()), *command.split()],
        capture_output=True,
        text=True,
    )
    elapsed = time.perf_counter() - started
    if "Traceback" in ended.stderr:
        reason = ended.stderr.strip().splitlines()[-1]
        raise UserError(f"{root}: {command} fails: {reason}; give another checkout")
    return elapsed


def main() -> None:
    """Measure and print the table."""
    options = tyro.cli(Options, description=__doc__)
    rows = []
    for command in COMMANDS:
        times: dict[Path, list[float]] = {options.old: [], options.new: []}
        for root in times:
            seconds(root, command)  # fills the caches of files and bytecode
        for _ in range(options.rounds):
            for root, of_root in times.items():
                of_root.append(seconds(root, command))
        rows.append((f"`{command}`", *(f"{min(of_root):.2f}" for of_root in times.values())))
    about = f"Seconds until a command ends, the smallest of {options.rounds} alternating rounds."
    text = f"{about}\n\n{table(('command', 'earlier', 'later'), rows)}"
    command = typed_command("benchmarks.startup")
    publish(page("Start-up", command, torch.device("cpu"), [text]), options.write)


if __name__ == "__main__":
    run_command(main)
