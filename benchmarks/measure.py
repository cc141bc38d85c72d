"""What the benchmarks share: interleaved timing, its summary, the machine they ran on, and Markdown tables."""

from __future__ import annotations

import os
import platform
import shlex
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import torch

from seit_cl.core.files import write_atomic


@dataclass(frozen=True)
class Spread:
    """A number measured once a round.

    Args:
        median: over the rounds.
        low: the 10th percentile, the lowest of fewer than 10 rounds.
        high: the 90th, the highest of fewer than 10.
    """

    median: float
    low: float
    high: float

    @staticmethod
    def of(values: Sequence[float]) -> Spread:
        """The spread of one number a round."""
        ordered, cut = sorted(values), len(values) // 10
        return Spread(statistics.median(ordered), ordered[cut], ordered[-1 - cut])

    def text(self, digits: int = 0) -> str:
        """The median with its 10th and 90th percentile, e.g. "1,234 (1,200–1,260)"."""
        return f"{self.median:,.{digits}f} ({self.low:,.{digits}f}–{self.high:,.{digits}f})"


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let torch use `count` CPU threads inside; 0 leaves the number as it is."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def finish(device: torch.device) -> None:
    """Wait until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def timed(call: Callable[[], object], calls: int, device: torch.device) -> float:
    """Seconds of one call, averaged over `calls` of them."""
    finish(device)
    began = time.perf_counter()
    for _ in range(calls):
        call()
    finish(device)
    return (time.perf_counter() - began) / calls


def interleave(
    rivals: Mapping[str, Callable[[], object]], rounds: int, seconds: float, device: torch.device
) -> dict[str, list[float]]:
    """Time rivals against one another: every round times each of them, in turning order, so that a slow spell of the
    machine meets all alike. One call of each warms up; where a turn is longer than a call, a second one says how many
    calls make a turn.

    Args:
        rivals: what is timed, by name.
        rounds: how many times each has its turn.
        seconds: about how long a turn takes; 0 for one call.
        device: waited for before the clock is read.

    Returns:
        seconds of one call, by name, one value a round.
    """
    for call in rivals.values():
        timed(call, 1, device)
    calls = {
        name: max(1, round(seconds / timed(call, 1, device))) if seconds else 1
        for name, call in rivals.items()
    }
    taken: dict[str, list[float]] = {name: [] for name in rivals}
    names = list(rivals)
    for turn in range(rounds):
        start = turn % len(names)
        for name in names[start:] + names[:start]:
            taken[name].append(timed(rivals[name], calls[name], device))
    return taken


def cpu_model() -> str:
    """The processor's name as Linux gives it, else as Python does."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def machine(device: torch.device) -> str:
    """Processor, cores, device and versions, on one line."""
    parts = [f"{cpu_model()}, {os.cpu_count()} cores"]
    if device.type == "cuda":
        parts.append(torch.cuda.get_device_name(device))
    return "; ".join([*parts, f"torch {torch.__version__}, Python {platform.python_version()}"])


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the first column is flush left, numbers right."""
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def command(module: str) -> str:
    """What the user typed, as `python -m module …`."""
    return shlex.join(["python", "-m", module, *sys.argv[1:]])


def page(title: str, typed: str, device: torch.device, sections: Sequence[str]) -> str:
    """A Markdown page that opens with how its numbers were made."""
    made = f"`{typed}`\n\n{machine(device)}; {date.today().isoformat()}"
    return "\n\n".join([f"# {title}", made, *sections]) + "\n"


def publish(text: str, path: Path | None) -> None:
    """Print a page and, where a path is given, write it there."""
    print(text)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, text.encode())
