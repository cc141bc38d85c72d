"""A stream that is learnt in a second: four classes told apart by colour. Fractals of this size need far longer."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from PIL import Image

from seit_cl.config import RunConfig
from seit_cl.experiment.events import StepInfo
from seit_cl.experiment.experiment import Experiment
from seit_cl.experiment.run_data import RunData
from seit_cl.learner.strategy import Strategy
from seit_cl.results.run_files import Run, read_run
from seit_cl.results.summary import rebuild_summary

COLOURS = torch.tensor([(200, 60, 60), (60, 200, 60), (60, 60, 200), (200, 200, 60)])
TRAIN, VAL = 12, 10  # images a class
OPTIONS: dict[str, Any] = {
    "experiences": 2,
    "epochs": 1,
    "batch": 8,
    "replay_batch": 8,
    "memory_mb": 0.01,
    "device": "cpu",
    "precision": "fp32",
}


def write_colours(root: Path) -> Path:
    """An image folder of 4 x 12 train and 4 x 10 val images of 32 px: a colour each class, and noise."""
    generator = torch.Generator().manual_seed(0)
    for split, per_class in (("train", TRAIN), ("val", VAL)):
        for label, colour in enumerate(COLOURS):
            folder = root / split / f"colour{label}"
            folder.mkdir(parents=True)
            for i in range(per_class):
                image = colour + torch.randint(-50, 50, (8, 8, 3), generator=generator)
                pixels = (
                    image.repeat_interleave(4, 0)
                    .repeat_interleave(4, 1)
                    .clamp(0, 255)
                    .to(torch.uint8)
                )
                Image.fromarray(pixels.numpy()).save(folder / f"{i:02d}.png")
    return root


@dataclass
class Outcome:
    """A finished run: its folder as read back, its row of summary.csv, every step's loss and fresh samples, its strategy."""

    folder: Path
    run: Run
    row: dict[str, Any]
    losses: list[float]
    fresh: list[list[int]]
    strategy: Strategy

    @property
    def numbers(self) -> tuple[list[float], dict[str, str], pd.DataFrame]:
        """Everything about the run that its seed must fix."""
        row = {name: str(value) for name, value in self.row.items() if name != "train_seconds"}
        return self.losses, row, self.run.accuracy


def colours(folder: Path) -> RunData:
    """The data of runs on the colours, written into a new folder."""
    return RunData(RunConfig(data_root=write_colours(folder)))


def run(
    data: RunData, folder: Path, stop_at: tuple[int, int] | None = None, **options: Any
) -> Outcome:
    """One run on the colours, with OPTIONS where nothing else is said.

    Args:
        data: from `colours`.
        folder: of the run; what it holds of an interrupted run is continued.
        stop_at: experience and step (from 1) at which the run is interrupted.
        options: of RunConfig.

    Raises:
        KeyboardInterrupt: at stop_at.
    """
    losses: list[float] = []
    fresh: list[list[int]] = []

    def note(info: StepInfo) -> None:
        losses.append(float(info.loss))
        fresh.append(info.fresh_ids.tolist())
        if (info.experience, info.step) == stop_at:
            raise KeyboardInterrupt

    config = RunConfig(**{"data_root": data.dataset.root, **OPTIONS, **options})
    experiment = Experiment(config, data, folder)
    experiment.run(on_step=note)
    row = rebuild_summary(folder.parent).set_index("run_id").loc[folder.name].to_dict()
    return Outcome(folder, read_run(folder), row, losses, fresh, experiment.strategy)
