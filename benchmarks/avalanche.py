"""Training of the learner compared with Avalanche's own Replay, in images per second.

Both train the same ViT on the second of two experiences, with the same fresh and replayed samples a
step, AdamW and precision. Avalanche reads JPEG files through PIL and torchvision's transform, in
the training process or in processes of its loader. A further row gives it token embeddings that are
ready in main memory and not augmented, which leaves the speed of its loop. Its time leaves out the
first epoch, in which it starts the loader's processes; ours leaves out nothing.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro

from benchmarks.avalanche_peers import AvalanchePeers, workers_name
from benchmarks.avalanche_training import JPEG_QUALITY
from benchmarks.measure import Spread, round_ratios, rounds_in_order, timed
from benchmarks.training import LearnerTraining
from benchmarks.workload import Workload
from seit_cl.config import RunConfig
from seit_cl.core.cli import run_command
from seit_cl.core.devices import allowed_cores, has_bf16
from seit_cl.core.errors import UserError
from seit_cl.core.machine import torch_threads
from seit_cl.experiment.run_data import RunData
from seit_cl.reporting.markdown import page, table, typed_command, write_page

Device = Literal["cpu", "cuda"]
Precision = Literal["fp32", "bf16"]
TOKENS = "seit_cl, tokens"
PIXELS = "seit_cl, pixels"
MICRO_GOAL = 10  # times Avalanche's images per second on JPEG files, for micro at 64 px on a GPU
GOAL = 2  # the same for all other models and sides


@dataclass(frozen=True)
class Options:
    """Options of the comparison with Avalanche."""

    model: Annotated[
        Literal["micro", "tiny", "small", "base"], tyro.conf.arg(help="size of the ViT")
    ] = "micro"
    resolution: Annotated[int, tyro.conf.arg(help="image side in pixels")] = 64
    batch: Annotated[int, tyro.conf.arg(help="fresh samples per step")] = 128
    replay_batch: Annotated[int, tyro.conf.arg(help="exemplars per step")] = 128
    device: Annotated[
        tuple[Device, ...], tyro.conf.arg(help="where both train; cuda is left out without a GPU")
    ] = ("cpu", "cuda")
    precision: Annotated[
        tuple[Precision, ...],
        tyro.conf.arg(help="precisions; bf16 is left out where the hardware lacks it"),
    ] = ("fp32", "bf16")
    compile: Annotated[bool, tyro.conf.arg(help="compile the model of both")] = RunConfig.compile
    workers: Annotated[
        int, tyro.conf.arg(help="processes of Avalanche's loader; 0: as many as cores")
    ] = 0
    threads: Annotated[int, tyro.conf.arg(help="CPU threads; 0: torch's own choice")] = 0
    rounds: Annotated[int, tyro.conf.arg(help="interleaved rounds of measurement")] = 3
    steps: Annotated[
        int, tyro.conf.arg(help="steps in a round; rounded up to whole epochs of the experience")
    ] = 30
    cuda_steps: Annotated[
        int,
        tyro.conf.arg(
            help="steps of our learner in a round on CUDA, where as many as Avalanche's take too "
            "little time to be measured; 0: as many"
        ),
    ] = 0
    exemplars: Annotated[int, tyro.conf.arg(help="exemplars in Avalanche's memory, at most")] = 500
    data_root: Annotated[
        Path | None, tyro.conf.arg(help="image folder; none: built-in fractals")
    ] = None
    write: Annotated[Path | None, tyro.conf.arg(help="Markdown file to write")] = None


@dataclass(frozen=True)
class Setting:
    """Device and precision of a measurement.

    Args:
        device: of both trainings.
        precision: of both forward passes.
    """

    device: Device
    precision: Precision


Rates = Mapping[str, list[float]]  # images per second of every round, by training


class PixelTraining(LearnerTraining):
    """Training of the pixel learner."""

    def loader(self) -> Any:
        """Return the batches of an epoch, with images as raw data."""
        return replace(super().loader(), raw=self.work.data.pixels)


def settings(options: Options) -> list[Setting]:
    """List the devices and precisions that are asked for and that the machine has.

    Raises:
        UserError: it has none of them.
    """
    devices = [name for name in options.device if name == "cpu" or torch.cuda.is_available()]
    chosen = []
    for device in devices:
        for precision in options.precision:
            if precision == "fp32" or has_bf16(torch.device(device)):
                chosen.append(Setting(device, precision))
    if not chosen:
        raise UserError(
            "--device, --precision: this machine has none of these; use --device cpu "
            "--precision fp32"
        )
    return chosen


def workloads(options: Options, setting: Setting) -> tuple[Workload, Workload]:
    """Build the data of a learner on tokens, and on pixels from JPEGs."""
    config = RunConfig(
        data_root=options.data_root,
        resolution=options.resolution,
        device=setting.device,
        precision=setting.precision,
        compile=options.compile,
        model=options.model,
        batch=options.batch,
        replay_batch=options.replay_batch,
        experiences=2,
        memory_mb=100,
    )
    data = RunData(config)
    pixels = replace(config, learner="pixels", format=f"jpeg:quality={JPEG_QUALITY}")
    return Workload(config, data), Workload(pixels, data)


def learner_rate(training: LearnerTraining, step_samples: int) -> Callable[[], float]:
    """Return a function that trains our learner and returns images per second."""

    def rate() -> float:
        seconds = timed(training, 1, training.work.device)
        return training.steps * step_samples / seconds

    return rate


def measure_setting(options: Options, setting: Setting) -> dict[str, list[float]]:
    """Time all trainings on one device in one precision, interleaved, after one round of warm-up.

    Returns:
        Images per second of every round, by training.
    """
    tokens, pixels = workloads(options, setting)
    step_samples = options.batch + options.replay_batch
    steps = options.steps
    if setting.device == "cuda" and options.cuda_steps:
        steps = options.cuda_steps
    peers = AvalanchePeers(
        tokens, pixels, options.steps, options.exemplars, options.workers or allowed_cores()
    )
    calls: dict[str, Callable[[], float]] = {}
    calls[TOKENS] = learner_rate(LearnerTraining(tokens, steps), step_samples)
    calls[PIXELS] = learner_rate(PixelTraining(pixels, steps), step_samples)
    with tempfile.TemporaryDirectory() as folder:
        for name, peer in peers.build(Path(folder)).items():
            calls[name] = peer.rate
        for call in calls.values():
            call()
        rates: dict[str, list[float]] = {name: [] for name in calls}
        for order in rounds_in_order(list(calls), options.rounds):
            for name in order:
                rates[name].append(calls[name]())
    return rates


def measure(options: Options) -> Iterator[tuple[Setting, Rates]]:
    """Measure every setting that the machine has.

    Raises:
        UserError: bad data root or resolution, or the machine has no such device.
    """
    with torch_threads(options.threads):
        for setting in settings(options):
            yield setting, measure_setting(options, setting)


def speed_table(rates: Rates) -> str:
    """Tabulate the speed of every training, and ours over it."""
    rows = []
    for name, values in rates.items():
        row = [name, Spread.of(values).text()]
        row += [round_ratios(rates[ours], values).text(2) for ours in (TOKENS, PIXELS)]
        rows.append(row)
    return table(["training", "images/s", f"{TOKENS}, over this", f"{PIXELS}, over this"], rows)


def goal_line(options: Options, rates: Rates) -> str:
    """State whether the token learner is as much faster on a GPU as it is meant to be."""
    is_micro = options.model == "micro" and options.resolution == 64
    goal = MICRO_GOAL if is_micro else GOAL
    reached = True
    for workers in (0, options.workers or allowed_cores()):
        ratio = round_ratios(rates[TOKENS], rates[workers_name(workers)])
        reached = reached and ratio.median >= goal
    answer = "yes" if reached else "no"
    return f"At least {goal} times the images/s of Avalanche on JPEG files: {answer}."


def report(result: Mapping[Setting, Rates], options: Options, typed: str) -> str:
    """Write the page of the settings that were measured, in Markdown."""
    threads = options.threads or torch.get_num_threads()
    spread = "lowest–highest" if options.rounds < 10 else "10th–90th percentile"
    about = (
        f"{options.model} ViT, {options.resolution} px, {options.batch} fresh samples and "
        f"{options.replay_batch} exemplars a step, {threads} threads; {options.rounds} interleaved "
        f"rounds; images/s, median ({spread}); a ratio compares the same round."
    )
    about_peers = (
        "Avalanche's Replay with a class-balanced buffer, without metrics or tests; its first "
        "epoch, in which the loader's processes start, is not timed. JPEG files are decoded by PIL "
        "and go through torchvision's RandomResizedCrop, flip and normalisation. Ready embeddings "
        "are tensors in main memory that are not augmented. Avalanche has no option for bf16: a "
        "subclass puts its forward pass under autocast."
    )
    sections = [about, about_peers]
    device = torch.device("cpu")
    for setting, rates in result.items():
        sections += [f"## {setting.device}, {setting.precision}", speed_table(rates)]
        if setting.device == "cuda":
            device = torch.device("cuda")
            sections.append(goal_line(options, rates))
    if "cuda" in options.device and not torch.cuda.is_available():
        sections.append("This machine has no CUDA device: the CPU alone was measured.")
    return page("Avalanche's Replay", typed, device, sections)


def main() -> None:
    """Measure, write the page after every setting if asked to, and print it."""
    options = tyro.cli(Options, description=__doc__)
    typed = typed_command("benchmarks.avalanche")
    result: dict[Setting, Rates] = {}
    text = ""
    for setting, rates in measure(options):
        result[setting] = rates
        text = report(result, options, typed)
        write_page(text, options.write)
    print(text)


if __name__ == "__main__":
    run_command(main)
