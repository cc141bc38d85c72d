"""Live tracking of a run in TensorBoard or Weights & Biases: --tracker tensorboard|wandb.

Tracking is for watching a run; reports read the run's own files. The axis counts training steps.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from seit_cl.config import RunConfig, TrackerKind
from seit_cl.core.errors import UserError
from seit_cl.core.files import write_atomic
from seit_cl.experiment.events import ExperienceInfo, StepInfo
from seit_cl.results import metrics

EVERY = 10  # steps between two values of the loss, each of which waits for the device


class Tracker:
    """Sender of a run's loss and speed, and after every experience its accuracies and memory.

    Args:
        send: takes values by name, and the number of training steps taken.
        close: writes what is buffered.
    """

    def __init__(
        self, send: Callable[[dict[str, float], int], None], close: Callable[[], None]
    ) -> None:
        self._send = send
        self.close = close

    def step(self, info: StepInfo) -> None:
        """Send loss, learning rate and speed every few training steps."""
        if info.total_steps % EVERY:
            return
        values = {
            "train/loss": float(info.loss),
            "train/learning_rate": info.learning_rate,
            "train/images_per_second": info.samples / max(info.seconds, 1e-9),
        }
        self._send_numbers(values, info.total_steps)

    def experience(self, info: ExperienceInfo) -> None:
        """Send accuracies, if the learner was tested, and the size of the memory."""
        rows = pd.DataFrame(info.accuracy)
        if len(rows) and info.experience in set(rows["after_experience"]):
            values = {"test/accuracy_seen": metrics.accuracy_seen(rows)[info.experience]}
            accuracies = metrics.accuracy_matrix(rows)[info.experience]
            for number, accuracy in enumerate(accuracies, 1):
                values[f"test/accuracy_experience_{number}"] = accuracy
            self._send_numbers(values, info.total_steps)
        if info.memory is not None:
            values = {
                "memory/exemplars": len(info.memory),
                "memory/used_bytes": info.memory.used_bytes,
                "memory/classes_covered": info.memory.classes_covered,
            }
            self._send_numbers(values, info.total_steps)

    def _send_numbers(self, values: dict[str, float], steps: int) -> None:
        numbers = {}
        for name, value in values.items():
            if not math.isnan(value):
                numbers[name] = float(value)
        self._send(numbers, steps)


def open_tracker(kind: TrackerKind, config: RunConfig, run_dir: Path) -> Tracker | None:
    """Open the tracker of a run; None for "none".

    Args:
        kind: "tensorboard" writes into the run's folder; "wandb" sends to the service that the user
            is logged in to.
        config: the run's options.
        run_dir: the run's folder; its name is the run's.

    Raises:
        UserError: Weights & Biases cannot begin, for instance without a login.
    """
    if kind == "none":
        return None
    folder = run_dir / "tracking"
    folder.mkdir(parents=True, exist_ok=True)
    if kind == "tensorboard":
        return _tensorboard(folder)
    return _wandb(config, run_dir.name, folder)


def _tensorboard(folder: Path) -> Tracker:
    from avalanche.logging import TensorboardLogger

    logger = TensorboardLogger(folder)

    def send(values: dict[str, float], steps: int) -> None:
        for name, value in values.items():
            logger.log_single_metric(name, value, steps)

    return Tracker(send, logger.writer.close)


def _wandb(config: RunConfig, name: str, folder: Path) -> Tracker:
    """Open Weights & Biases directly.

    Avalanche's logger calls functions that wandb has removed (0.31 has neither wandb.viz nor
    generate_id).
    """
    import wandb  # takes a second, only where it is used

    id_file = folder / "wandb-id"  # a resumed run continues under the same id
    if not id_file.exists():
        write_atomic(id_file, uuid.uuid4().hex)
    try:
        run = wandb.init(
            project="seit_cl",
            name=name,
            id=id_file.read_text(),
            resume="allow",
            dir=folder,
            config=config.plain(),
            save_code=False,
        )
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"--tracker wandb: {reason}; run wandb login, or set WANDB_MODE=offline"
        ) from error
    return Tracker(lambda values, steps: run.log(values, step=steps), run.finish)
