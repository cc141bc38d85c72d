"""Peak memory of commands, each in a process forked from one that has imported everything.

As a script it reads a JSON list of command lines, [module of seit_cl, words...], from its input
and writes a list of outcomes, see `Outcome`. Blocks and the memory for decoded images are small in
it, so that few images are already many.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from helpers.linux_status import status_bytes

TESTS = Path(__file__).parents[1]
BLOCK_PIXELS = 2**19  # of a block: 8 images of 256 px
MAIN_MEMORY = 1 << 21  # bytes that decoded images may take
MODULES = (
    *("compare", "density", "report", "run", "tokenize", "tune"),
    *("experiment.experiment", "experiment.density"),
)


class Outcome(NamedTuple):
    """Outcome of a command.

    Args:
        peak: bytes of memory at its peak, above those at its beginning.
        problem: its error; "" if it succeeded.
    """

    peak: int
    problem: str


def measure(command_lines: Sequence[Sequence[object]], cache: Path) -> list[Outcome]:
    """Run commands one after the other.

    Args:
        command_lines: each the name of a module of seit_cl and the words after it.
        cache: folder of the caches.
    """
    lines = [list(map(str, line)) for line in command_lines]
    environment = os.environ | {
        "PYTHONPATH": f"{TESTS.parent}{os.pathsep}{TESTS}",
        "SEIT_CL_CACHE": str(cache),
        # Freed memory of one thread serves the others, and large pieces are given back at once.
        "MALLOC_ARENA_MAX": "1",
        "MALLOC_MMAP_THRESHOLD_": "262144",
        "OMP_NUM_THREADS": "1",
    }
    finished = subprocess.run(
        [sys.executable, "-m", "helpers.peak_memory"],
        input=json.dumps(lines),
        capture_output=True,
        text=True,
        check=True,
        env=environment,
        cwd=TESTS,
    )
    return [Outcome(*outcome) for outcome in json.loads(finished.stdout)]


def _serve() -> None:
    """Run the commands of the input, each in a process of its own."""
    from seit_cl.core import blocks, devices

    blocks.PIXELS = BLOCK_PIXELS
    devices.MAIN_MEMORY = MAIN_MEMORY  # before other modules import it
    for module in MODULES:
        import_module(f"seit_cl.{module}")
    import_module("seit_cl.experiment.density_measures").MIN_SECONDS = 0.01
    outcomes = [_run(line) for line in json.load(sys.stdin)]
    json.dump(outcomes, sys.stdout)


def _run(line: list[str]) -> Outcome:
    """Run a command in a forked process."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        with os.fdopen(writer, "w") as file:
            json.dump(_call(line), file)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        outcome = json.load(file)
    os.waitpid(child, 0)
    return Outcome(*outcome)


def _call(line: list[str]) -> Outcome:
    """Call a command's main function."""
    module, *words = line
    sys.argv = [module, *words]
    before = status_bytes("VmRSS")
    printed = io.StringIO()
    problem = ""
    try:
        with redirect_stdout(printed), redirect_stderr(printed):
            import_module(f"seit_cl.{module}").main()
    except SystemExit as stop:
        problem = f"exit {stop.code}: {printed.getvalue()}" if stop.code else ""
    except BaseException:
        problem = traceback.format_exc()
    return Outcome(status_bytes("VmHWM") - before, problem)


if __name__ == "__main__":
    _serve()
