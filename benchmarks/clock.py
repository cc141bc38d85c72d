"""Explicit timers for a profile by phase."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import torch

from benchmarks.measure import finish
from seit_cl.learner.batches import Batch, BatchMaker

P = ParamSpec("P")
R = TypeVar("R")


class Clock:
    """Adds up the seconds of named phases.

    Args:
        device: waited for at both ends of a phase.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: dict[str, float] = {}
        self.whole = 0.0

    def timing(self, phase: str, call: Callable[P, R]) -> Callable[P, R]:
        """The call with its time added to the phase."""

        @wraps(call)
        def timed(*args: P.args, **kwargs: P.kwargs) -> R:
            began = self.start()
            result = call(*args, **kwargs)
            self.stop(phase, began)
            return result

        return timed

    def start(self) -> float:
        """The time at which a phase begins."""
        finish(self.device)
        return time.perf_counter()

    def stop(self, phase: str, began: float) -> None:
        """Add the time since a phase began."""
        finish(self.device)
        elapsed = time.perf_counter() - began
        self.seconds[phase] = self.seconds.get(phase, 0.0) + elapsed

    @contextmanager
    def watching(self, owner: object, methods: Mapping[str, str]) -> Iterator[None]:
        """Time an object's methods, by name, as phases."""
        for method, phase in methods.items():
            setattr(owner, method, self.timing(phase, getattr(owner, method)))
        try:
            yield
        finally:
            for method in methods:
                delattr(owner, method)

    @contextmanager
    def total(self) -> Iterator[None]:
        """Time everything, phases and what lies between them."""
        finish(self.device)
        began = time.perf_counter()
        yield
        finish(self.device)
        self.whole = time.perf_counter() - began

    def shares(self) -> dict[str, float]:
        """Seconds by phase; what lies between the phases is the "rest"."""
        return {**self.seconds, "rest": self.whole - sum(self.seconds.values())}


@dataclass
class TimedBatchMaker(BatchMaker):
    """A batch maker whose time counts as the phase "augmentation".

    Args:
        clock: adds it up.
    """

    clock: Clock

    def __call__(self, *args: Any, **kwargs: Any) -> Batch:
        """A training batch."""
        return self.clock.timing("augmentation", super().__call__)(*args, **kwargs)
