"""A training that lasts a number of minutes or of steps, and can be interrupted."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from seit_cl.core.errors import UserError
from seit_cl.core.torch_files import load_state, save_state

WARMUP = 0.02  # fraction of the training
FINAL_RATE = 0.02  # learning rate at the end, as a fraction of the peak
REPORT_EVERY = 50  # steps
SAVE_EVERY = 60.0  # seconds between two checkpoints
FIXED = ("kind", "settings", "config", "images")  # entries in which a checkpoint must agree


class Position(NamedTuple):
    """Position in a training, for reports of its progress.

    Args:
        step: optimiser steps before the reported one.
        fraction: of the training, when that step began.
        speed: images per second.
    """

    step: int
    fraction: float
    speed: float


class TimedTraining(ABC):
    """Base of trainings; `run` takes steps until the time is used or the steps are taken.

    Args:
        minutes: wall-clock time, summed over all parts of an interrupted training.
        steps: number of steps, which then takes the place of the time; 0: the time counts.
        batch: images per step.
        learning_rate: peak rate, with linear warm-up and cosine decay over the training.
    """

    optimizer: torch.optim.Optimizer

    def __init__(self, minutes: float, steps: int, batch: int, learning_rate: float) -> None:
        self.minutes = minutes
        self.steps = steps
        self.batch = batch
        self.learning_rate = learning_rate
        self.step = 0
        self.seconds = 0.0

    @property
    def fraction(self) -> float:
        """Fraction of the training that is done."""
        if self.steps:
            return self.step / self.steps
        return self.seconds / (60 * self.minutes)

    @abstractmethod
    def train_step(self) -> tuple[Tensor, ...]:
        """Take one optimiser step; return values of it for `progress`."""

    @abstractmethod
    def progress(self, position: Position, *values: Tensor) -> Any:
        """Describe the training after a step that returned some values."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Everything that the rest of the training depends on, with the entries of FIXED."""

    @abstractmethod
    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a state of the same settings and images."""

    def run(
        self,
        report: Callable[[Any], None] = lambda progress: None,
        checkpoint: Path | None = None,
    ) -> None:
        """Train to the end, from the checkpoint if there is one.

        Args:
            report: called every REPORT_EVERY steps with what `progress` returns.
            checkpoint: file to save to about every minute and when interrupted.

        Raises:
            UserError: the checkpoint belongs to another training, or is not readable.
        """
        if checkpoint is not None and checkpoint.exists():
            self.load(checkpoint)
        seconds_before = self.seconds
        first_step = self.step
        started = time.monotonic()
        saved = started
        try:
            while self.fraction < 1:
                fraction = self.fraction
                self.set_learning_rate(fraction)
                values = self.train_step()
                now = time.monotonic()
                self.seconds = seconds_before + now - started
                if (self.step - 1) % REPORT_EVERY == 0:
                    images = (self.step - first_step) * self.batch
                    speed = images / max(now - started, 1e-9)
                    report(self.progress(Position(self.step - 1, fraction, speed), *values))
                if checkpoint is not None and now - saved > SAVE_EVERY:
                    self.save(checkpoint)
                    saved = now
        finally:
            if checkpoint is not None:
                self.save(checkpoint)

    def set_learning_rate(self, fraction: float) -> None:
        """Set the rate at a fraction of the training: linear warm-up, then a cosine."""
        warmup = min(1.0, (fraction + 1e-3) / WARMUP)
        cosine = (1 + math.cos(math.pi * fraction)) / 2
        shape = warmup * (FINAL_RATE + (1 - FINAL_RATE) * cosine)
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate * shape

    def save(self, path: Path) -> None:
        """Write the state to a file, atomically."""
        save_state(path, self.state())

    def load(self, path: Path) -> None:
        """Continue from a file.

        Raises:
            UserError: the file is not readable, or has other settings, another model or other
                images.
        """
        own = self.state()
        state = load_state(path, "delete it to start over")
        try:
            same = all(state[name] == own[name] for name in FIXED)
        except Exception as error:
            raise UserError(
                f"{path}: not a readable checkpoint ({type(error).__name__}); delete it to start "
                "over"
            ) from error
        if not same:
            raise UserError(
                f"{path}: of a training with other options or images; use the same, or delete it "
                "to start over"
            )
        self.restore(state)
        self.step = state["step"]
        self.seconds = state["seconds"]
