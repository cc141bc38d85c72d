"""Record of a run in progress: test results, counts of exemplars, and time by phase."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seit_cl.core.flops import FlopMeter
from seit_cl.experiment.anytime import rows_table
from seit_cl.experiment.epoch_losses import losses_table
from seit_cl.experiment.metadata import Phase
from seit_cl.experiment.testing import confusion_table
from seit_cl.memory.buffer import ByteBudgetBuffer
from seit_cl.results import run_writer
from seit_cl.results.anytime import ANYTIME_COLUMNS
from seit_cl.results.metrics import WITHIN
from seit_cl.results.names import CONFUSION_COLUMNS, LOSS_COLUMNS

PHASES = ("train", "remember", "test", "anytime")


@dataclass(frozen=True)
class Times:
    """A moment, or a span of time, in seconds.

    Args:
        wall: by the clock.
        cpu: of the processor, of all threads of this process.
    """

    wall: float
    cpu: float

    @classmethod
    def now(cls) -> Times:
        """The present moment."""
        return cls(time.monotonic(), time.process_time())

    def __add__(self, other: Times) -> Times:
        return Times(self.wall + other.wall, self.cpu + other.cpu)

    def __sub__(self, other: Times) -> Times:
        return Times(self.wall - other.wall, self.cpu - other.cpu)


class RunRecord:
    """Notes of a run, which become its tables and a part of facts.json.

    Attributes:
        accuracy: rows of accuracy.csv.
        memory: rows of memory.csv.
        anytime: rows (n, 6) int64 of anytime.csv, with labels in place of classes' names.
        confusion: rows (n, 3) int64 of confusion.csv, with labels in place of classes' names.
        losses: rows of losses.csv; None for a run that an earlier version began.
        train_seconds: training time, memory updates included.
        phases: time and images by phase.
        flops: FLOPs by kind of work.
        counts_flops: False for a run that an earlier version began, which counted none.
        last_hooks: FLOPs of the strategy's hooks around the last experience's steps.
    """

    def __init__(self) -> None:
        self.accuracy: list[dict[str, Any]] = []
        self.memory: list[dict[str, Any]] = []
        self.anytime = torch.empty((0, len(ANYTIME_COLUMNS)), dtype=torch.int64)
        self.confusion = torch.empty((0, len(CONFUSION_COLUMNS)), dtype=torch.int64)
        self.losses: Tensor | None = torch.empty((0, len(LOSS_COLUMNS)), dtype=torch.float64)
        self.train_seconds = 0.0
        self.phases = {name: Phase() for name in PHASES}
        self._inner = Times(0.0, 0.0)  # of phases within the present one
        self.flops = FlopMeter()
        self.counts_flops = True
        self.last_hooks = 0

    def add_losses(self, rows: Tensor) -> None:
        """Add rows of losses.csv, unless those of earlier experiences are missing."""
        if self.losses is not None:
            self.losses = torch.cat([self.losses, rows])

    @property
    def accuracy_so_far(self) -> float | None:
        """The last test's accuracy over all classes seen, a fraction; None before the first."""
        return self._last_share("correct")

    def _last_share(self, column: str) -> float | None:
        """The share of a column of counts in the last test's samples; None where there is none."""
        if not self.accuracy or column not in self.accuracy[-1]:
            return None
        last = self.accuracy[-1]["after_experience"]
        rows = [row for row in self.accuracy if row["after_experience"] == last]
        return sum(row[column] for row in rows) / sum(row["total"] for row in rows)

    def summary(
        self, experience: int, steps: int, seconds: float, memory: ByteBudgetBuffer | None
    ) -> str:
        """Describe an experience that has ended: accuracy, steps, seconds and memory.

        Args:
            experience: its index.
            steps: training steps of the whole run so far.
            seconds: that the experience took.
            memory: the replay memory, or None.
        """
        accuracy = "not tested"
        so_far = self.accuracy_so_far
        if so_far is not None and self.accuracy[-1]["after_experience"] >= experience:
            accuracy = f"accuracy {100 * so_far:.1f} % of the classes seen"
            within = self._last_share(WITHIN)
            if within is not None:
                accuracy += f", {100 * within:.1f} % within experiences"
        parts = [accuracy, f"{steps} steps", f"{seconds:.0f} s"]
        if memory is not None:
            used = f"{memory.used_bytes} of {memory.budget_bytes} bytes"
            parts.append(f"{len(memory)} exemplars in {used}")
        return ", ".join(parts)

    @contextmanager
    def timed(self, phase: str) -> Iterator[None]:
        """Add the time that the block takes to a phase, without that of phases within it."""
        began = Times.now()
        earlier = self._inner
        self._inner = Times(0.0, 0.0)
        yield
        taken = Times.now() - began
        own = taken - self._inner
        self.phases[phase].seconds += own.wall
        self.phases[phase].cpu_seconds += own.cpu
        self._inner = earlier + taken

    def write(self, run_dir: Path, class_names: Sequence[str]) -> None:
        """Replace accuracy.csv, and the other tables in runs that have them.

        Args:
            run_dir: the run's folder.
            class_names: by label.
        """
        run_writer.write_accuracy(run_dir, self.accuracy)
        if self.memory:
            run_writer.write_memory(run_dir, self.memory)
        if len(self.anytime):
            run_writer.write_anytime(run_dir, rows_table(self.anytime, class_names))
        if len(self.confusion):
            run_writer.write_confusion(run_dir, confusion_table(self.confusion, class_names))
        if self.losses is not None and len(self.losses):
            run_writer.write_losses(run_dir, losses_table(self.losses))

    def state_dict(self) -> dict[str, Any]:
        """All notes, for a checkpoint."""
        return {
            "accuracy": self.accuracy,
            "memory_rows": self.memory,
            "anytime": self.anytime,
            "confusion": self.confusion,
            "losses": self.losses,
            "train_seconds": self.train_seconds,
            "phases": {name: vars(phase) for name, phase in self.phases.items()},
            "flops": dict(self.flops.totals) if self.counts_flops else {},
            "last_hooks": self.last_hooks,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the notes of a checkpoint."""
        self.accuracy = state["accuracy"]
        self.memory = state["memory_rows"]
        self.anytime = state.get("anytime", self.anytime)
        self.confusion = state.get("confusion", self.confusion)
        self.losses = state.get("losses")
        self.train_seconds = state["train_seconds"]
        for name, phase in state["phases"].items():
            # A version that recorded no processor time made a part of the phase.
            self.phases[name] = Phase(**{"cpu_seconds": math.nan, **phase})
        self.counts_flops = bool(state.get("flops"))
        self.flops.totals |= state.get("flops", {})
        self.last_hooks = state.get("last_hooks", 0)
