"""Replayed images a second: from the memory to the learner's input tensor on its device, on one core.

Every path takes what a run takes: ByteBudgetBuffer.sample draws from the exemplars that it decoded once (and tokenized,
where the token learner replays pixels) and keeps on the device; BatchMaker augments and mixes. Two paths more decode
JPEGs for every batch, as a memory without room does; the second of them crops and flips with torchvision, as others do.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import torch
import tyro

from benchmarks.measure import Spread, interleave, timed
from benchmarks.peers import TorchvisionAugment
from benchmarks.workload import Workload
from seit_cl.config import RunConfig
from seit_cl.core.cli import run_command
from seit_cl.core.machine import torch_threads
from seit_cl.experiment.run_data import RunData
from seit_cl.formats import build_format
from seit_cl.learner.augment.pixels import PixelAugment
from seit_cl.learner.batches import Batch
from seit_cl.memory.device_cache import DeviceCache
from seit_cl.reporting.markdown import page, publish, table, typed_command

PEER = "jpeg:quality=75 -> pixels"
EACH_TIME = PEER + ", decoded each time"
TORCHVISION = EACH_TIME + ", torchvision"


@dataclass(frozen=True)
class Options:
    """Options of the replay benchmark."""

    resolution: Annotated[
        int, tyro.conf.arg(help="image side in pixels; 256 gives 32 x 32 tokens and 28 x 28 crops")
    ] = 64
    batch: Annotated[int, tyro.conf.arg(help="exemplars a batch")] = 128
    rounds: Annotated[int, tyro.conf.arg(help="how many times every path has its turn")] = 20
    seconds: Annotated[float, tyro.conf.arg(help="about how long a turn takes")] = 0.3
    exemplars: Annotated[
        int, tyro.conf.arg(help="exemplars in each memory, at most the train set")
    ] = 1000
    data_root: Annotated[
        Path | None, tyro.conf.arg(help="image folder; none: built-in fractals")
    ] = None
    device: Annotated[Literal["cpu", "cuda"], tyro.conf.arg(help="the learner's device")] = "cpu"
    formats: Annotated[tuple[str, ...], tyro.conf.arg(help="how exemplars are stored")] = (
        "tokens",
        "jpeg:quality=75",
        "raw",
    )
    write: Annotated[
        Path | None, tyro.conf.arg(help="Markdown file to write, e.g. benchmarks/results/replay.md")
    ] = None


@dataclass(frozen=True)
class Phases:
    """Microseconds an image.

    Args:
        draw: draw exemplars and gather them, decoded each time or once.
        augment: embed tokens, augment, mix.
        once: decode and tokenize when the memory has changed, an exemplar; 0 where that is done each time.
    """

    draw: float
    augment: float
    once: float


class ReplayPath:
    """One way from a full memory to the learner's input.

    Args:
        work: data and options: the format and the learner are the path.
        exemplars: how many the memory holds.
        batch: exemplars a batch.
    """

    def __init__(self, work: Workload, exemplars: int, batch: int) -> None:
        self.batch, self.make, self.device = batch, work.batches(), work.device
        every = torch.randperm(
            len(work.data.dataset.train), generator=torch.Generator().manual_seed(0)
        )
        self.memory = work.memory(every[:exemplars])
        everything = torch.arange(len(self.memory))
        self.memory.by_ids(everything[:1])
        # Whoever asks a second time has everything decoded.
        self.once = (
            timed(lambda: self.memory.by_ids(everything[:1]), 1, self.device)
            / len(everything)
            * 1e6
        )

    def __call__(self) -> Batch:
        """One replayed batch, as ReplayLoader makes it."""
        drawn = self.memory.sample(self.batch, self.make.generators["replay"])
        return self.make(drawn.inputs, drawn.labels, drawn.ids, replay=True)

    def phases(self, rounds: int, seconds: float) -> Phases:
        """Where the time goes."""
        drawn = self.memory.sample(self.batch, self.make.generators["replay"])
        parts = {
            "sample": lambda: self.memory.sample(self.batch, self.make.generators["replay"]),
            "augment": lambda: self.make(drawn.inputs, drawn.labels, drawn.ids, replay=True),
        }
        taken = interleave(parts, rounds, seconds, self.device)
        sample, augment = (Spread.of(taken[part]).median / self.batch * 1e6 for part in parts)
        return Phases(sample, augment, self.once)


@dataclass(frozen=True)
class Result:
    """What was measured, by path.

    Args:
        rates: images a second.
        ratios: those over each peer's of the same round; none of a peer that was not measured.
        bytes_each: bytes of the memory's file an exemplar.
        phases: where the time goes.
    """

    rates: Mapping[str, Spread]
    ratios: Mapping[str, Mapping[str, Spread]]
    bytes_each: Mapping[str, float]
    phases: Mapping[str, Phases]


def build_paths(options: Options) -> dict[str, ReplayPath]:
    """Every format with both learners, but for tokens, which pixels cannot be had from."""
    roomy = options.exemplars * (4 * 3 * options.resolution**2 + 1000) / 1e6
    config = RunConfig(
        data_root=options.data_root,
        resolution=options.resolution,
        device=options.device,
        memory_mb=roomy,
        experiences=1,
    )
    data, paths = RunData(config), {}
    for spec in options.formats:
        for learner in ("tokens", "pixels"):
            work = Workload(replace(config, format=spec, learner=learner), data)
            if (build_format(spec, work.context()).domain, learner) != ("tokens", "pixels"):
                paths[f"{spec} -> {learner}"] = ReplayPath(work, options.exemplars, options.batch)
    if PEER in paths:
        paths[EACH_TIME] = decoded_each_time(paths[PEER])
        if options.device == "cpu":  # elsewhere image by image is nobody's practice
            paths[TORCHVISION] = with_torchvision(paths[EACH_TIME])
    return paths


def decoded_each_time(path: ReplayPath) -> ReplayPath:
    """The same memory, but nothing stays decoded."""
    other = copy(path)
    other.memory, other.once = copy(path.memory), 0.0
    other.memory._device_cache = DeviceCache(
        path.device, path.memory._store.read, lambda: 0
    )  # takes the memory for an empty one
    return other


def with_torchvision(path: ReplayPath) -> ReplayPath:
    """The same memory and batches, augmented by torchvision."""
    twin = copy(path)
    assert isinstance(path.make.augment, PixelAugment)
    twin.make = replace(path.make, augment=TorchvisionAugment(path.make.augment))
    return twin


def measure(options: Options) -> Result:
    """Time every path, interleaved, with one thread.

    Raises:
        UserError: bad data root, format or resolution; CUDA asked for and absent.
    """
    with torch_threads(1):
        paths = build_paths(options)
        taken = interleave(
            paths, options.rounds, options.seconds, next(iter(paths.values())).device
        )
        share = max(1, options.rounds // 4)
        phases = {name: path.phases(share, options.seconds / 3) for name, path in paths.items()}
    rates = {name: [options.batch / s for s in seconds] for name, seconds in taken.items()}
    ratios = {
        peer: {
            name: Spread.of([a / b for a, b in zip(rate, rates[peer], strict=True)])
            for name, rate in rates.items()
        }
        for peer in (PEER, TORCHVISION)
        if peer in rates
    }
    spreads = {name: Spread.of(rate) for name, rate in rates.items()}
    return Result(
        spreads, ratios, {n: p.memory.bytes_per_exemplar for n, p in paths.items()}, phases
    )


def report(result: Result, options: Options, typed: str, device: torch.device) -> str:
    """The page of a result, in Markdown."""
    rows = [
        [
            name,
            f"{result.bytes_each[name]:,.0f}",
            rate.text(),
            *(ratio[name].text(2) for ratio in result.ratios.values()),
        ]
        for name, rate in result.rates.items()
    ]
    spent = [
        [name, f"{p.draw:.1f}", f"{p.augment:.1f}", f"{p.draw + p.augment:.1f}", f"{p.once:.1f}"]
        for name, p in result.phases.items()
    ]
    about = (
        f"Images a second from the memory to the learner's input, on one thread: {options.resolution} px, batches of "
        f"{options.batch}, {options.rounds} interleaved rounds; median (10th–90th percentile). A ratio compares "
        "the same round."
    )
    phases = (
        "Microseconds an image. Once: decoding an exemplar, and tokenizing it for the token learner, after the memory has "
        "changed; it then stays decoded in working memory, where there is room."
    )
    head = [
        "memory -> learner",
        "bytes/exemplar",
        "images/s",
        *(f"over {peer}" for peer in result.ratios),
    ]
    parts = ["memory -> learner", "draw", "embed, augment, mix", "sum", "once"]
    return page("Replay", typed, device, [about, table(head, rows), phases, table(parts, spent)])


def main() -> None:
    """Measure, print, and write where asked."""
    options = tyro.cli(Options, description=__doc__)
    result = measure(options)
    publish(
        report(result, options, typed_command("benchmarks.replay"), torch.device(options.device)),
        options.write,
    )


if __name__ == "__main__":
    run_command(main)
