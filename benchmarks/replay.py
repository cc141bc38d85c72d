"""Replayed images per second, from the memory to the learner's input on its device, on one core.

Every path is that of a run. ByteBudgetBuffer.sample draws exemplars, which were decoded once (and
tokenized, if the token learner replays pixels) and stay on the device; BatchMaker augments and
mixes them. Two further paths decode JPEGs for every batch, as a memory does whose decoded copy does
not fit on the device. The second of them crops and flips with torchvision.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import torch
import tyro

from benchmarks.measure import Spread, interleave, round_ratios, timed
from benchmarks.peers import TorchvisionAugment
from benchmarks.workload import Workload
from seit_cl.config import RunConfig
from seit_cl.core.cli import run_command
from seit_cl.core.machine import torch_threads
from seit_cl.experiment.run_data import RunData
from seit_cl.formats import build_format
from seit_cl.learner.augment.pixels import PixelAugment
from seit_cl.learner.batches import RawStep, Rows, StepBatches
from seit_cl.reporting.markdown import page, publish, table, typed_command

PEER_FORMAT = "jpeg:quality=75"
PEER = f"{PEER_FORMAT} -> pixels"
EACH_TIME = PEER + ", decoded each time"
TORCHVISION = EACH_TIME + ", torchvision"


@dataclass(frozen=True)
class Options:
    """Options of the replay benchmark."""

    resolution: Annotated[
        int, tyro.conf.arg(help="image side in pixels; 256 gives 32 x 32 tokens and 28 x 28 crops")
    ] = 64
    batch: Annotated[int, tyro.conf.arg(help="exemplars per batch")] = 128
    rounds: Annotated[int, tyro.conf.arg(help="interleaved rounds of measurement")] = 20
    seconds: Annotated[float, tyro.conf.arg(help="approximate time of a path in a round")] = 0.3
    exemplars: Annotated[
        int, tyro.conf.arg(help="exemplars in each memory, at most the train set")
    ] = 1000
    data_root: Annotated[
        Path | None, tyro.conf.arg(help="image folder; none: built-in fractals")
    ] = None
    device: Annotated[Literal["cpu", "cuda"], tyro.conf.arg(help="the learner's device")] = "cpu"
    formats: Annotated[tuple[str, ...], tyro.conf.arg(help="formats of the exemplars")] = (
        "tokens",
        PEER_FORMAT,
        "raw",
    )
    write: Annotated[
        Path | None, tyro.conf.arg(help="Markdown file to write, e.g. benchmarks/results/replay.md")
    ] = None


@dataclass(frozen=True)
class Phases:
    """Time of the phases of a path, in microseconds per image.

    Args:
        draw: draw exemplars and gather them; also decode them if nothing stays decoded.
        augment: embed tokens, augment, mix.
        once: decode and tokenize after the memory has changed; 0 if every batch is decoded.
    """

    draw: float
    augment: float
    once: float


class ReplayPath:
    """A path from a full memory to the learner's input.

    Args:
        work: data and options of the run; its format and learner define the path.
        exemplars: number of exemplars in the memory.
        batch: exemplars per batch.
        device_copy: False to decode every batch.
        torchvision: augment pixels by torchvision's functions.
    """

    def __init__(
        self,
        work: Workload,
        exemplars: int,
        batch: int,
        device_copy: bool = True,
        torchvision: bool = False,
    ) -> None:
        self.batch = batch
        self.device = work.device
        self.make = work.batches()
        if torchvision:
            assert isinstance(self.make.augment, PixelAugment)
            self.make = replace(self.make, augment=TorchvisionAugment(self.make.augment))
        generator = torch.Generator().manual_seed(0)
        order = torch.randperm(len(work.data.dataset.train), generator=generator)
        self.memory = work.memory(order[:exemplars], device_copy)
        self.once = self._time_of_decoding() if device_copy else 0.0

    def _time_of_decoding(self) -> float:
        """Decode all exemplars, and return the microseconds of one."""
        ids = torch.zeros(1, dtype=torch.int64)
        self.memory.by_ids(ids)
        # The memory decodes all exemplars when it is read for the second time.
        seconds = timed(lambda: self.memory.by_ids(ids), 1, self.device)
        return seconds / len(self.memory) * 1e6

    def __call__(self) -> StepBatches:
        """Make one replayed batch, as ReplayLoader does."""
        return self.augment(self.draw())

    def draw(self) -> Rows:
        """Draw the exemplars of a batch."""
        return Rows(*self.memory.select(self.batch, self.make.generators["replay"]))

    def augment(self, drawn: Rows) -> StepBatches:
        """Make a training batch of drawn exemplars."""
        draws = self.make.draws(drawn.source.inputs.shape[1:], [(len(drawn), True)])
        return self.make.prepare(RawStep(drawn, None, draws))

    def phases(self, rounds: int, seconds: float) -> Phases:
        """Measure the time of each phase."""
        drawn = self.draw()
        calls = {"draw": self.draw, "augment": lambda: self.augment(drawn)}
        timings = interleave(calls, rounds, seconds, self.device)
        draw = Spread.of(timings["draw"]).median / self.batch * 1e6
        augment = Spread.of(timings["augment"]).median / self.batch * 1e6
        return Phases(draw, augment, self.once)


@dataclass(frozen=True)
class Result:
    """Measurements of all paths, by name.

    Args:
        rates: images per second.
        ratios: rates over those of a peer in the same round, by peer; only of peers that were
            measured.
        bytes_each: bytes of the memory's file per exemplar.
        phases: time of each phase.
    """

    rates: Mapping[str, Spread]
    ratios: Mapping[str, Mapping[str, Spread]]
    bytes_each: Mapping[str, float]
    phases: Mapping[str, Phases]


def build_paths(options: Options) -> dict[str, ReplayPath]:
    """Build a path for every format and learner, except from tokens to pixels."""
    sufficient_mb = options.exemplars * (4 * 3 * options.resolution**2 + 1000) / 1e6
    config = RunConfig(
        data_root=options.data_root,
        resolution=options.resolution,
        device=options.device,
        memory_mb=sufficient_mb,
        experiences=1,
    )
    data = RunData(config)
    paths = {}
    for spec in options.formats:
        for learner in ("tokens", "pixels"):
            work = Workload(replace(config, format=spec, learner=learner), data)
            domain = build_format(spec, work.context()).domain
            if domain == "tokens" and learner == "pixels":
                continue
            name = f"{spec} -> {learner}"
            paths[name] = ReplayPath(work, options.exemplars, options.batch)
    if PEER in paths:
        pixels = replace(config, format=PEER_FORMAT, learner="pixels")
        build = partial(ReplayPath, Workload(pixels, data), options.exemplars, options.batch)
        paths[EACH_TIME] = build(device_copy=False)
        if options.device == "cpu":  # on a GPU nobody augments image by image
            paths[TORCHVISION] = build(device_copy=False, torchvision=True)
    return paths


def measure(options: Options) -> Result:
    """Time every path, interleaved, with one thread.

    Raises:
        UserError: bad data root, format or resolution; CUDA was requested and is not available.
    """
    with torch_threads(1):
        paths = build_paths(options)
        device = next(iter(paths.values())).device
        seconds = interleave(paths, options.rounds, options.seconds, device)
        rounds = max(1, options.rounds // 4)
        phases = {}
        for name, path in paths.items():
            phases[name] = path.phases(rounds, options.seconds / 3)
    rates = {}
    for name, taken in seconds.items():
        rates[name] = [options.batch / batch_seconds for batch_seconds in taken]
    ratios = {}
    for peer in (PEER, TORCHVISION):
        if peer in rates:
            ratios[peer] = {name: round_ratios(rate, rates[peer]) for name, rate in rates.items()}
    return Result(
        rates={name: Spread.of(rate) for name, rate in rates.items()},
        ratios=ratios,
        bytes_each={name: path.memory.bytes_per_exemplar for name, path in paths.items()},
        phases=phases,
    )


def speed_table(result: Result) -> str:
    """Tabulate bytes and speed of every path."""
    head = ["memory -> learner", "bytes/exemplar", "images/s"]
    head += [f"over {peer}" for peer in result.ratios]
    rows = []
    for name, rate in result.rates.items():
        row = [name, f"{result.bytes_each[name]:,.0f}", rate.text()]
        row += [ratio[name].text(2) for ratio in result.ratios.values()]
        rows.append(row)
    return table(head, rows)


def phase_table(result: Result) -> str:
    """Tabulate the phases of every path."""
    head = ["memory -> learner", "draw", "embed, augment, mix", "sum", "once"]
    rows = []
    for name, phases in result.phases.items():
        total = phases.draw + phases.augment
        values = (phases.draw, phases.augment, total, phases.once)
        rows.append([name, *(f"{value:.1f}" for value in values)])
    return table(head, rows)


def report(result: Result, options: Options, typed: str, device: torch.device) -> str:
    """Write the page of a result, in Markdown."""
    about = (
        "Images a second from the memory to the learner's input, on one thread: "
        f"{options.resolution} px, batches of {options.batch}, {options.rounds} interleaved "
        "rounds; median (10th–90th percentile). A ratio compares the same round."
    )
    about_phases = (
        "Microseconds an image. Once: decoding an exemplar, and tokenizing it for the token "
        "learner, after the memory has changed; it then stays decoded in working memory, where "
        "there is room."
    )
    sections = [about, speed_table(result), about_phases, phase_table(result)]
    return page("Replay", typed, device, sections)


def main() -> None:
    """Measure, print the page, and write it if asked to."""
    options = tyro.cli(Options, description=__doc__)
    device = torch.device(options.device)
    text = report(measure(options), options, typed_command("benchmarks.replay"), device)
    publish(text, options.write)


if __name__ == "__main__":
    run_command(main)
