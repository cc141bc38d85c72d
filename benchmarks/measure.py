"""Interleaved timing of rival calls, and the summary of a number measured once a round."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch


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
