"""Cost of offering a step's fresh samples to the memory (--fill during), against a training step.

A step that is followed by an offer also reads its exemplars from a memory that has just changed,
where other steps gather them from a decoded copy of all. Both count. Time is that of the process on
all cores, so that other programs hardly change it.
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated

import torch
import tyro
from torch import Tensor

from benchmarks.measure import Spread, finish, round_ratios, rounds_in_order
from benchmarks.training import LearnerTraining
from benchmarks.workload import Workload
from seit_cl.config import RunConfig
from seit_cl.core.cli import run_command
from seit_cl.core.machine import torch_threads
from seit_cl.experiment.run_data import RunData
from seit_cl.reporting.markdown import page, publish, table, typed_command

GOAL = 3.0  # % of a step that an offer may take


@dataclass(frozen=True)
class Options:
    """Options of the filling benchmark."""

    data_root: Annotated[
        Path | None, tyro.conf.arg(help="image folder, train/ and val/; none: fractals")
    ] = None
    resolution: Annotated[int, tyro.conf.arg(help="image side in pixels")] = 64
    model: Annotated[str, tyro.conf.arg(help="network of the learner")] = "micro"
    batch: Annotated[int, tyro.conf.arg(help="fresh samples a step, and exemplars beside them")] = (
        32
    )
    memory_mb: Annotated[float, tyro.conf.arg(help="budget, which binds")] = 0.02
    formats: Annotated[tuple[str, ...], tyro.conf.arg(help="formats of exemplars")] = (
        "tokens",
        "jpeg:quality=75",
    )
    steps: Annotated[int, tyro.conf.arg(help="steps, and offers, of a round")] = 12
    rounds: Annotated[int, tyro.conf.arg(help="interleaved rounds")] = 11
    threads: Annotated[int, tyro.conf.arg(help="CPU threads")] = 1
    device: Annotated[str, tyro.conf.arg(help="cpu or cuda")] = "cpu"
    write: Annotated[Path | None, tyro.conf.arg(help="file to write the page to")] = None


@dataclass(frozen=True)
class Costs:
    """Milliseconds of one step's work, a value for each round.

    Args:
        step: a training step on a memory that stays as it is.
        offer: offering its fresh samples to a full memory.
        changed: reading a step's exemplars from the memory after an offer.
        unchanged: gathering them from the decoded copy.
    """

    step: list[float]
    offer: list[float]
    changed: list[float]
    unchanged: list[float]

    def shares(self) -> Spread:
        """Time that filling adds to a step, in percent of it."""
        added = []
        for offer, changed, unchanged in zip(self.offer, self.changed, self.unchanged, strict=True):
            added.append(100 * (offer + changed - unchanged))
        return round_ratios(added, self.step)


class Offers:
    """Offers of the second experience's samples to a memory that the first one has filled.

    Args:
        work: data and options of the run.
        training: whose steps the offers belong to.
    """

    def __init__(self, work: Workload, training: LearnerTraining) -> None:
        self.work = work
        self.steps = training.steps
        ids = training.ids.repeat(-(-self.steps * work.config.batch // len(training.ids)))
        self.parts = [work.samples(part) for part in ids.split(work.config.batch)][: self.steps]
        self.filled = pickle.dumps(training.memory)
        self.memory = training.memory
        self.generator = torch.Generator().manual_seed(0)

    def restart(self) -> None:
        """Take a memory as it is at the beginning of the experience, with all exemplars decoded."""
        self.memory = pickle.loads(self.filled)
        self.memory.by_ids(torch.arange(len(self.memory)))

    def read(self) -> Tensor:
        """Read the exemplars of a step."""
        exemplars, rows = self.memory.select(self.work.config.replay_batch, self.generator)
        return exemplars.inputs if rows is None else exemplars.inputs[rows]

    def fill(self) -> tuple[float, float]:
        """Offer all samples, reading exemplars after each offer.

        Returns:
            Milliseconds of an offer and of a reading.
        """
        self.restart()
        offering = 0.0
        reading = 0.0
        for part in self.parts:
            offering += self._seconds(partial(self.memory.offer, part))
            reading += self._seconds(self.read)
        return 1e3 * offering / self.steps, 1e3 * reading / self.steps

    def gather(self) -> float:
        """Milliseconds of reading a step's exemplars from a memory that does not change."""
        self.restart()
        self.read()
        self.read()  # makes the copy of all
        reading = sum(self._seconds(self.read) for _ in range(self.steps))
        return 1e3 * reading / self.steps

    def _seconds(self, call: Callable[[], object]) -> float:
        finish(self.work.device)
        began = time.process_time()
        call()
        finish(self.work.device)
        return time.process_time() - began


def build(options: Options) -> dict[str, tuple[LearnerTraining, Offers]]:
    """Build training and offers for every format."""
    config = RunConfig(
        data_root=options.data_root,
        resolution=options.resolution,
        device="cuda" if options.device == "cuda" else "cpu",
        model=options.model,
        batch=options.batch,
        replay_batch=options.batch,
        experiences=2,
        memory_mb=options.memory_mb,
    )
    data = RunData(config)
    pairs = {}
    for spec in options.formats:
        work = Workload(replace(config, format=spec), data)
        training = LearnerTraining(work, options.steps)
        pairs[spec] = training, Offers(work, training)
    return pairs


def measure(options: Options) -> dict[str, Costs]:
    """Time steps and offers of all formats, interleaved; the first round is left out."""
    with torch_threads(options.threads):
        pairs = build(options)
        costs = {spec: Costs([], [], [], []) for spec in pairs}
        for number, order in enumerate(rounds_in_order(list(pairs), options.rounds + 1)):
            for spec in order:
                training, offers = pairs[spec]
                began = time.process_time()
                training()
                finish(training.work.device)
                step = 1e3 * (time.process_time() - began) / training.steps
                offer, changed = offers.fill()
                unchanged = offers.gather()
                if number == 0:
                    continue
                costs[spec].step.append(step)
                costs[spec].offer.append(offer)
                costs[spec].changed.append(changed)
                costs[spec].unchanged.append(unchanged)
    return costs


def report(options: Options, typed: str) -> str:
    """Measure, and return the page in Markdown."""
    return render(options, measure(options), typed)


def render(options: Options, costs: Mapping[str, Costs], typed: str) -> str:
    """Return the page of measured costs in Markdown."""
    rows = []
    for spec, cost in costs.items():
        values = (cost.step, cost.offer, cost.changed, cost.unchanged)
        rows.append([spec, *(Spread.of(value).text(2) for value in values), cost.shares().text(1)])
    headings = [
        "format",
        "step, ms",
        "offer, ms",
        "exemplars read after it, ms",
        "gathered from a copy, ms",
        f"added to a step, % (goal: below {GOAL:g})",
    ]
    text = (
        f"The token learner `{options.model}` at {options.resolution} px, {options.batch} fresh "
        f"samples and {options.batch} exemplars a step, a memory of {options.memory_mb:g} MB that "
        "the first of two experiences has filled; offers of the second one's samples. Milliseconds "
        f"of the process's time with {options.threads} thread(s): median (10th to 90th percentile) "
        f"of {options.rounds} interleaved rounds of {options.steps} steps. What is added is the "
        "offer and the difference between the two ways to read exemplars, in percent of the step "
        "of the same round. It is added to the steps of the first epoch alone."
    )
    device = torch.device(options.device)
    return page(
        "Filling the memory during an experience", typed, device, [text, table(headings, rows)]
    )


def main() -> None:
    """Measure, print, and write the page if asked to."""
    options = tyro.cli(Options, description=__doc__)
    publish(report(options, typed_command("benchmarks.filling")), options.write)


if __name__ == "__main__":
    run_command(main)
