"""Speed of the bundled tokenizer: images per second in training and in encoding.

Training uses the package's Trainer on fractals, and also reports the fraction of a step outside the
model. Encoding uses the shipped tokenizer in float32 on images that are ready in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import torch
import tyro
from torch import Tensor

from benchmarks.clock import Clock
from benchmarks.measure import Spread, interleave
from seit_cl.core.cli import run_command
from seit_cl.core.devices import choose_device
from seit_cl.core.machine import torch_threads
from seit_cl.data.fractals import render
from seit_cl.reporting.markdown import page, publish, table, typed_command
from seit_cl.tokenizers import open_tokenizer
from seit_cl.tokenizers.nets.vqae import VQAutoencoder
from seit_cl.tokenizers.training.trainer import Trainer, TrainingSettings

Precision = Literal["fp32", "bf16"]


@dataclass(frozen=True)
class Options:
    """Options of the tokenizer benchmark."""

    resolution: Annotated[
        tuple[int, ...], tyro.conf.arg(help="image sides to encode at, px; the first to train at")
    ] = (64, 256)
    batch: Annotated[int, tyro.conf.arg(help="images of a training step")] = 64
    encode: Annotated[
        int, tyro.conf.arg(help="images per call at 64 px; at other sides, as many pixels")
    ] = 512
    precision: Annotated[tuple[Precision, ...], tyro.conf.arg(help="precisions of training")] = (
        "fp32",
        "bf16",
    )
    device: Annotated[
        Literal["cpu", "cuda"], tyro.conf.arg(help="where it is trained and encodes")
    ] = "cpu"
    threads: Annotated[int, tyro.conf.arg(help="CPU threads; 0: torch's own choice")] = 0
    rounds: Annotated[int, tyro.conf.arg(help="interleaved rounds of measurement")] = 5
    write: Annotated[Path | None, tyro.conf.arg(help="Markdown file to write")] = None


@dataclass(frozen=True)
class Result:
    """Measured speeds.

    Args:
        training: images per second, by precision.
        outside: fraction of a step outside the model's forward and backward passes and the
            optimiser, by precision.
        encoding: images per second, by resolution.
    """

    training: Mapping[str, Spread]
    outside: Mapping[str, float]
    encoding: Mapping[int, Spread]


class TimedTrainer(Trainer):
    """Trainer that adds up the time of drawing batches and updating codebooks, as phases."""

    clock: Clock | None = None

    def draw_batch(self) -> tuple[Tensor, Tensor]:
        """Draw a batch."""
        with self._phase("batches"):
            return super().draw_batch()

    def draw_depths(self) -> Tensor | None:
        """Draw the number of levels of each image."""
        with self._phase("depths"):
            return super().draw_depths()

    def update_codebooks(self, latents: Tensor, detailed: Tensor, indices: Tensor) -> None:
        """Update the codebooks."""
        with self._phase("codebooks"):
            super().update_codebooks(latents, detailed, indices)

    def _phase(self, name: str) -> AbstractContextManager[None]:
        return nullcontext() if self.clock is None else self.clock.phase(name)


def build_trainer(options: Options, precision: Precision) -> TimedTrainer:
    """Build a training on a few hundred fractals that are on the device."""
    images, labels = render(8, 32, options.resolution[0], 0, "train")
    model = VQAutoencoder().to(choose_device(options.device)).to(memory_format=torch.channels_last)
    settings = TrainingSettings(1, batch=options.batch, precision=precision)
    return TimedTrainer(model, images, labels, settings)


def outside_model(trainer: TimedTrainer) -> float:
    """Measure the fraction of five steps spent on drawing batches and on updating codebooks."""
    clock = Clock(trainer.device)
    trainer.clock = clock
    with clock.total():
        for _ in range(5):
            trainer.train_step()
    trainer.clock = None
    return sum(clock.seconds.values()) / clock.total_seconds


def encoding_calls(options: Options, device: torch.device) -> dict[int, Callable[[], object]]:
    """Calls that encode random images, by resolution."""
    tokenizer = open_tokenizer().to(device)
    calls: dict[int, Callable[[], object]] = {}
    for side in options.resolution:
        images = render(1, images_per_call(options, side), side, 0, "val")[0].to(device)
        calls[side] = partial(tokenizer.encode, images)
    return calls


def images_per_call(options: Options, side: int) -> int:
    """Images of a side that have as many pixels as options.encode images of 64 px."""
    return max(1, options.encode * 64 * 64 // side**2)


def measure(options: Options) -> Result:
    """Time training in every precision and encoding at every resolution, interleaved.

    Raises:
        UserError: CUDA was requested and is not available.
    """
    device = choose_device(options.device)
    with torch_threads(options.threads):
        trainers = {precision: build_trainer(options, precision) for precision in options.precision}
        calls: dict[str, Callable[[], object]] = {}
        for precision, trainer in trainers.items():
            calls[f"train {precision}"] = trainer.train_step
        for side, call in encoding_calls(options, device).items():
            calls[f"encode {side}"] = call
        seconds = interleave(calls, options.rounds, 1.0, device)
        outside: dict[str, float] = {}
        for precision, trainer in trainers.items():
            outside[precision] = outside_model(trainer)
    training: dict[str, Spread] = {}
    for precision in trainers:
        training[precision] = _images_per_second(options.batch, seconds[f"train {precision}"])
    encoding: dict[int, Spread] = {}
    for side in options.resolution:
        images = images_per_call(options, side)
        encoding[side] = _images_per_second(images, seconds[f"encode {side}"])
    return Result(training, outside, encoding)


def _images_per_second(images: int, seconds: list[float]) -> Spread:
    """Speed of calls that took some seconds for some images each."""
    return Spread.of([images / call for call in seconds])


def report(result: Result, options: Options, typed: str) -> str:
    """Write the page of a result, in Markdown."""
    threads = options.threads or torch.get_num_threads()
    about = (
        f"{options.device}, {threads} threads; {options.rounds} interleaved rounds; images/s, "
        f"median (10th–90th percentile). Training on {TrainingSettings.crop} px crops of "
        f"{options.resolution[0]} px images, {options.batch} a step; encoding in float32."
    )
    training = []
    for precision, speed in result.training.items():
        training.append([precision, speed.text(), f"{result.outside[precision]:.1%}"])
    encoding = [[f"{side} px", speed.text()] for side, speed in result.encoding.items()]
    sections = [
        about,
        table(["training", "images/s", "outside the model"], training),
        table(["encoding", "images/s"], encoding),
    ]
    return page("Tokenizer", typed, torch.device(options.device), sections)


def main() -> None:
    """Measure, print the page, and write it if asked to."""
    options = tyro.cli(Options, description=__doc__)
    publish(report(measure(options), options, typed_command("benchmarks.tokenizer")), options.write)


if __name__ == "__main__":
    run_command(main)
