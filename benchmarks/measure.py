"""Interleaved timing of calls, and the summary of a number that is measured once per round."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Spread:
    """Summary of a number measured once per round.

    Args:
        median: of all rounds.
        low: the 10th percentile; with fewer than 10 rounds, the lowest value.
        high: the 90th percentile; with fewer than 10 rounds, the highest value.
    """

    median: float
    low: float
    high: float

    @staticmethod
    def of(values: Sequence[float]) -> Spread:
        """Summarise values, one per round."""
        ordered = sorted(values)
        cut = len(values) // 10
        return Spread(statistics.median(ordered), ordered[cut], ordered[-1 - cut])

    def text(self, digits: int = 0) -> str:
        """Format median, 10th and 90th percentile, e.g. "1,234 (1,200–1,260)"."""
        return f"{self.median:,.{digits}f} ({self.low:,.{digits}f}–{self.high:,.{digits}f})"


def round_ratios(values: Sequence[float], baseline: Sequence[float]) -> Spread:
    """Summarise the ratios of values over a baseline, each of the same round."""
    return Spread.of([value / base for value, base in zip(values, baseline, strict=True)])


def finish(device: torch.device) -> None:
    """Wait until the device has completed all work that was queued."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def timed(
    call: Callable[[], object],
    repeats: int,
    device: torch.device,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Measure the seconds of one call by a clock, averaged over repeated calls."""
    finish(device)
    started = clock()
    for _ in range(repeats):
        call()
    finish(device)
    return (clock() - started) / repeats


def rounds_in_order(names: Sequence[str], rounds: int) -> Iterator[list[str]]:
    """Yield the order of every round, each beginning with another name than the round before."""
    for index in range(rounds):
        first = index % len(names)
        yield [*names[first:], *names[:first]]


def interleave(
    calls: Mapping[str, Callable[[], object]],
    rounds: int,
    seconds: float,
    device: torch.device,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Time several calls in interleaved rounds, so that a slow period affects all of them alike.

    Every round times each call, beginning with another one than the round before. Each is called
    once before to warm up, and once more to choose the number of repeats if `seconds` is given.

    Args:
        calls: what to time, by name.
        rounds: number of rounds.
        seconds: approximate time for which a call is repeated in a round; 0 calls it once.
        device: waited for before the clock is read.
        clock: gives seconds; time.process_time counts those of the process on all cores, which
            do not grow when other programs take a core.

    Returns:
        Seconds of one call, by name, one value per round.
    """
    for call in calls.values():
        timed(call, 1, device)
    repeats = dict.fromkeys(calls, 1)
    if seconds:
        for name, call in calls.items():
            repeats[name] = max(1, round(seconds / timed(call, 1, device, clock)))
    timings: dict[str, list[float]] = {name: [] for name in calls}
    for order in rounds_in_order(list(calls), rounds):
        for name in order:
            timings[name].append(timed(calls[name], repeats[name], device, clock))
    return timings
