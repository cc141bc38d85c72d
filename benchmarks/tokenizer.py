"""The bundled tokenizer: images a second when it is trained, the share of a step spent outside the model, and when it encodes.

Training is the real Trainer on fractals; encoding is the shipped tokenizer's, float32, with images ready in memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import torch
import tyro

from benchmarks.clock import Clock
from benchmarks.measure import Spread, interleave
from seit_cl.core.cli import run_command
from seit_cl.core.devices import choose_device
from seit_cl.core.machine import torch_threads
from seit_cl.data.fractals import render
from seit_cl.reporting.markdown import page, publish, table, typed_command
from seit_cl.tokenizers.bundled import WEIGHTS, load_tokenizer
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
        int, tyro.conf.arg(help="images encoded in a call at 64 px; as many pixels at others")
    ] = 512
    precision: Annotated[tuple[Precision, ...], tyro.conf.arg(help="precisions of training")] = (
        "fp32",
        "bf16",
    )
    device: Annotated[
        Literal["cpu", "cuda"], tyro.conf.arg(help="where it is trained and encodes")
    ] = "cpu"
    threads: Annotated[int, tyro.conf.arg(help="CPU threads; 0: torch's own choice")] = 0
    rounds: Annotated[int, tyro.conf.arg(help="how many times every rival has its turn")] = 5
    write: Annotated[Path | None, tyro.conf.arg(help="Markdown file to write")] = None


@dataclass(frozen=True)
class Result:
    """What was measured.

    Args:
        training: images a second, by precision.
        outside: fraction of a step outside the model's forward, backward and optimiser, by precision.
        encoding: images a second, by resolution.
    """

    training: Mapping[str, Spread]
    outside: Mapping[str, float]
    encoding: Mapping[int, Spread]


def build_trainer(options: Options, precision: Precision) -> Trainer:
    """A training on a few hundred fractals, resident on the device."""
    images, labels = render(8, 32, options.resolution[0], 0, "train")
    model = VQAutoencoder().to(choose_device(options.device)).to(memory_format=torch.channels_last)
    return Trainer(
        model, images, labels, TrainingSettings(1, batch=options.batch, precision=precision)
    )


def outside_model(trainer: Trainer) -> float:
    """Fraction of five steps spent neither in the forward pass nor in the backward pass and the optimiser."""
    clock = Clock(trainer.device)
    with clock.watching(trainer, {"forward": "forward", "descend": "backward"}), clock.total():
        for _ in range(5):
            trainer.advance()
    return clock.shares()["rest"] / clock.whole


def measure(options: Options) -> Result:
    """Time training in every precision and encoding at every resolution, interleaved.

    Raises:
        UserError: CUDA asked for and absent.
    """
    device = choose_device(options.device)
    with torch_threads(options.threads):
        trainers = {precision: build_trainer(options, precision) for precision in options.precision}
        tokenizer = load_tokenizer(WEIGHTS).to(device)
        images = {side: max(1, options.encode * 64 * 64 // side**2) for side in options.resolution}
        ready = {
            side: render(1, count, side, 0, "val")[0].to(device) for side, count in images.items()
        }
        calls = {f"train {precision}": trainer.advance for precision, trainer in trainers.items()}
        calls |= {
            f"encode {side}": lambda side=side: tokenizer.encode(ready[side]) for side in ready
        }  # type: ignore[misc]
        taken = interleave(calls, options.rounds, 1.0, device)
        outside = {precision: outside_model(trainer) for precision, trainer in trainers.items()}
    return Result(
        {
            p: Spread.of([options.batch / seconds for seconds in taken[f"train {p}"]])
            for p in trainers
        },
        outside,
        {
            side: Spread.of([count / seconds for seconds in taken[f"encode {side}"]])
            for side, count in images.items()
        },
    )


def report(result: Result, options: Options, typed: str) -> str:
    """The page of a result, in Markdown."""
    used = options.threads or torch.get_num_threads()
    about = (
        f"{options.device}, {used} threads; {options.rounds} interleaved rounds; images/s, median (10th–90th percentile). "
        f"Training on {TrainingSettings.crop} px crops of {options.resolution[0]} px images, {options.batch} a step; encoding in float32."
    )
    trained = [[p, rate.text(), f"{result.outside[p]:.1%}"] for p, rate in result.training.items()]
    encoded = [[f"{side} px", rate.text()] for side, rate in result.encoding.items()]
    sections = [
        about,
        table(["training", "images/s", "outside the model"], trained),
        table(["encoding", "images/s"], encoded),
    ]
    return page("Tokenizer", typed, torch.device(options.device), sections)


def main() -> None:
    """Measure, print, and write where asked."""
    options = tyro.cli(Options, description=__doc__)
    publish(report(measure(options), options, typed_command("benchmarks.tokenizer")), options.write)


if __name__ == "__main__":
    run_command(main)
