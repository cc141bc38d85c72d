"""The course of a run in TensorBoard, through Avalanche's logger, or in Weights & Biases: --tracker tensorboard|wandb.

What is tracked is for looking at while a run goes on; reports read the run's own files. The axis
counts training steps.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pandas as pd
from avalanche.logging import TensorboardLogger

from seit_cl.core.errors import UserError
from seit_cl.core.files import write_atomic
from seit_cl.results import metrics

if TYPE_CHECKING:
    from seit_cl.experiment.experiment import Experiment, StepInfo

Kind = Literal["none", "tensorboard", "wandb"]
EVERY = 10  # steps between two values of the loss, each of which waits for the device


class Tracker:
    """Sends a run's loss and speed, and after every experience its accuracies and memory, where people look.

    Args:
        experiment: the run.
        send: takes values by name, and the training steps done.
        close: writes what is not written yet.
    """

    def __init__(
        self,
        experiment: Experiment,
        send: Callable[[dict[str, float], int], None],
        close: Callable[[], None],
    ) -> None:
        self.experiment, self._send, self.close = experiment, send, close

    def _log(self, values: dict[str, float]) -> None:
        known = {name: float(value) for name, value in values.items() if not math.isnan(value)}
        self._send(known, self.experiment.learner.steps_done)

    def step(self, now: StepInfo) -> None:
        """After a training step."""
        learner = self.experiment.learner
        if learner.steps_done % EVERY == 0:
            self._log(
                {
                    "train/loss": float(learner.loss.detach()),
                    "train/learning_rate": float(learner.schedule.get_last_lr()[0]),
                    "train/images_per_second": now.samples / max(now.seconds, 1e-9),
                }
            )

    def experience(self, step: int) -> None:
        """After an experience was learnt, remembered and tested.

        Args:
            step: its number, from 0.
        """
        run = self.experiment
        rows = pd.DataFrame(run.accuracy)
        if len(rows) and step in set(rows["after_experience"]):
            each = metrics.accuracy_matrix(rows)[step]
            by_experience = {
                f"test/accuracy_experience_{j + 1}": value for j, value in enumerate(each)
            }
            self._log({"test/accuracy_seen": metrics.accuracy_seen(rows)[step], **by_experience})
        if run.memory is not None:
            memory = run.memory
            self._log(
                {
                    "memory/exemplars": len(memory),
                    "memory/used_bytes": memory.used_bytes,
                    "memory/classes_covered": memory.classes_covered,
                }
            )


def open_tracker(kind: Kind, experiment: Experiment) -> Tracker | None:
    """The tracker of a run; None for "none".

    Args:
        kind: "tensorboard" writes into the run's folder; "wandb" sends to the service that the user is logged in to.
        experiment: whose folder exists.

    Raises:
        UserError: Weights & Biases cannot begin, for instance without a login.
    """
    if kind == "none":
        return None
    folder = experiment.run_dir / "tracking"
    folder.mkdir(parents=True, exist_ok=True)
    return _tensorboard(experiment, folder) if kind == "tensorboard" else _wandb(experiment, folder)


def _tensorboard(experiment: Experiment, folder: Path) -> Tracker:
    logger = TensorboardLogger(folder)

    def send(values: dict[str, float], steps: int) -> None:
        for name, value in values.items():
            logger.log_single_metric(name, value, steps)

    return Tracker(experiment, send, logger.writer.close)


def _wandb(experiment: Experiment, folder: Path) -> Tracker:
    """Not through Avalanche's logger, which calls what wandb has dropped (0.31 has neither wandb.viz nor generate_id)."""
    import wandb  # takes a second, which only its users pay

    name = folder / "wandb-id"  # so that a run that resumes goes on where it stopped
    if not name.exists():
        write_atomic(name, uuid.uuid4().hex)
    try:
        run = wandb.init(
            project="seit_cl",
            name=experiment.run_dir.name,
            id=name.read_text(),
            resume="allow",
            dir=folder,
            config=experiment.config.plain(),
            save_code=False,
        )
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"--tracker wandb: {reason}; run wandb login, or set WANDB_MODE=offline"
        ) from error
    return Tracker(experiment, lambda values, steps: run.log(values, step=steps), run.finish)
