"""Explicit timers for a profile by phase."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec, TypeVar

import torch

from benchmarks.measure import finish

P = ParamSpec("P")
R = TypeVar("R")


class Clock:
    """Stopwatch that adds up the seconds of named phases.

    Args:
        device: waited for at both ends of a phase.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: dict[str, float] = {}
        self.total_seconds = 0.0

    def start(self) -> float:
        """Return the time at which a phase begins."""
        finish(self.device)
        return time.perf_counter()

    def stop(self, phase: str, started: float) -> None:
        """Add the time since the start of a phase."""
        finish(self.device)
        elapsed = time.perf_counter() - started
        self.seconds[phase] = self.seconds.get(phase, 0.0) + elapsed

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time a block as a phase."""
        started = self.start()
        yield
        self.stop(name, started)

    def timing(self, phase: str, call: Callable[P, R]) -> Callable[P, R]:
        """Return the call with its time added to a phase."""

        @wraps(call)
        def timed(*args: P.args, **kwargs: P.kwargs) -> R:
            with self.phase(phase):
                return call(*args, **kwargs)

        return timed

    @contextmanager
    def total(self) -> Iterator[None]:
        """Time a block that contains all phases and the time between them."""
        started = self.start()
        yield
        finish(self.device)
        self.total_seconds = time.perf_counter() - started

    def profile(self) -> dict[str, float]:
        """Return the seconds of each phase, and the time between phases as "rest"."""
        rest = self.total_seconds - sum(self.seconds.values())
        return {**self.seconds, "rest": rest}
