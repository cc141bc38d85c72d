"""A stream that is learnt in a second: four classes of one colour each.

Fractals of this size take far longer to learn.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from PIL import Image
from torch import nn

from seit_cl.config import RunConfig
from seit_cl.core.ranks import Ranks
from seit_cl.experiment.events import ExperienceInfo, StepInfo
from seit_cl.experiment.experiment import Experiment
from seit_cl.experiment.run_data import RunData
from seit_cl.learner.strategy import Strategy
from seit_cl.results.run_files import Run, read_run
from seit_cl.results.summary import rebuild_summary

COLOURS = torch.tensor([(200, 60, 60), (60, 200, 60), (60, 60, 200), (200, 200, 60)])
TRAIN = 12  # images of each class
VAL = 10
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
    """Write an image folder of 4 classes at 32 px, each of one colour and noise.

    A class has 12 train and 10 val images.
    """
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
    """A finished run.

    Args:
        folder: of the run.
        run: the folder as read back.
        row: its row of summary.csv.
        losses: of each step.
        fresh: ids of the fresh samples of each step.
        strategy: as it is after the run.
        network: as it is after the run.
        config: its options.
    """

    folder: Path
    run: Run
    row: dict[str, Any]
    losses: list[float]
    fresh: list[list[int]]
    strategy: Strategy
    network: nn.Module
    config: RunConfig

    @property
    def numbers(self) -> tuple[list[float], dict[str, str], pd.DataFrame]:
        """Everything about the run that its seed must determine."""
        row = {name: str(value) for name, value in self.row.items() if name != "train_seconds"}
        return self.losses, row, self.run.accuracy


def summary_row(folder: Path) -> dict[str, Any]:
    """The row of summary.csv of a run."""
    rows = rebuild_summary(folder.parent).set_index("run_id")
    row: dict[str, Any] = rows.loc[folder.name].to_dict()
    return row


def colours(folder: Path, resolution: int = 0) -> RunData:
    """Write the colours into a new folder, and return the data of runs on them.

    Args:
        folder: to be made.
        resolution: side to which the images are resized; 0: 32 px, as they are.
    """
    return RunData(RunConfig(data_root=write_colours(folder), resolution=resolution))


def run(
    data: RunData,
    folder: Path,
    stop_at: tuple[int, int] | None = None,
    stop_after: int | None = None,
    ranks: Ranks | None = None,
    **options: Any,
) -> Outcome:
    """Run on the colours, with OPTIONS and any others.

    Args:
        data: from `colours`.
        folder: of the run; an interrupted run in it is resumed.
        stop_at: experience and step (from 1) at which the run is interrupted.
        stop_after: experience after whose commit the run is interrupted.
        ranks: processes that make the run together.
        options: of RunConfig.

    Raises:
        KeyboardInterrupt: at stop_at or stop_after.
    """
    losses: list[float] = []
    fresh: list[list[int]] = []

    def note(info: StepInfo) -> None:
        losses.append(float(info.loss))
        fresh.append(info.fresh_ids.tolist())
        if (info.experience, info.step) == stop_at:
            raise KeyboardInterrupt

    def interrupt(info: ExperienceInfo) -> None:
        if info.experience == stop_after:
            raise KeyboardInterrupt

    config = RunConfig(**{"data_root": data.dataset.root, **OPTIONS, **options})
    experiment = Experiment(config, data, folder, ranks=ranks)
    experiment.run(on_step=note, on_experience=interrupt)
    with (ranks or Ranks()).first_before_others():
        row = summary_row(folder)
    return Outcome(
        folder,
        read_run(folder),
        row,
        losses,
        fresh,
        experiment.strategy,
        experiment.learner.model,
        config,
    )
