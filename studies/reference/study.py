"""Our strategies against Avalanche's own, with equal streams, weights, steps and exemplars.

Every result is a small file in --out. Finished runs are skipped, so the same command resumes.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Literal

import pandas as pd
import torch
import tyro
from rich.console import Console
from torch import Tensor, nn

from seit_cl.config import RunConfig
from seit_cl.core.errors import UserError, nearest
from seit_cl.core.files import write_atomic
from seit_cl.core.machine import torch_threads
from seit_cl.core.progress import track
from seit_cl.core.rng import Generators, derive_seed
from seit_cl.data.samples import Samples
from seit_cl.data.scenario import Scenario
from seit_cl.experiment.build import build_model, build_strategy, optimisation
from seit_cl.experiment.experiment import Experiment
from seit_cl.experiment.run_data import RunData
from seit_cl.reporting.markdown import publish, typed_command
from studies.reference import avalanche
from studies.reference.page import answer

STRATEGIES = ("naive", "er", "er_ace", "derpp", "icarl", "gdumb", "ewc", "lwf", "agem")
LINED_UP = (
    "er_ace",
    "icarl",
    "gdumb",
    "ewc",
    "agem",
)  # where something of Avalanche's can be taken away
FIXED = ("derpp", "icarl")  # whose reference needs a logit for every class from the start
AS_AVALANCHE = {  # options of our strategies that Avalanche's do not have, or the page's first ones
    "derpp": "derpp:alpha=0.2,beta=0.5",
    "lwf": "lwf:alpha=1,among_new=false",
}
PLAIN: dict[str, Any] = {  # order, exemplars and first weights are all that is random
    "token_rrc": 1.0,
    "synonym_p": 0.0,
    "swap_p": 0.0,
    "noise_p": 0.0,
    "flip_p": 0.0,
    "cutmix_p": 0.0,
    "label_smoothing": 0.0,
    "device": "cpu",
    "precision": "fp32",
}


@dataclass(frozen=True)
class Options:
    """Options of the reference; strategies, optimisers, heads, epochs and seeds make a grid."""

    data_root: Annotated[Path, tyro.conf.arg(help="image folder, train/ and val/")]
    out: Annotated[Path, tyro.conf.arg(help="folder of the results")]
    strategy: Annotated[tuple[str, ...], tyro.conf.arg(help="strategies")] = STRATEGIES
    optimizer: Annotated[
        tuple[Literal["adamw", "sgd"], ...],
        tyro.conf.arg(help="AdamW, or SGD without momentum or decay"),
    ] = ("adamw",)
    head: Annotated[
        tuple[Literal["fixed", "grow"], ...],
        tyro.conf.arg(help="classify among all classes from the start, or those seen"),
    ] = ("fixed",)
    epochs: Annotated[tuple[int, ...], tyro.conf.arg(help="passes over each experience")] = (5,)
    seeds: Annotated[int, tyro.conf.arg(help="number of seeds, from 0 on")] = 3
    experiences: Annotated[int, tyro.conf.arg(help="number of experiences")] = 4
    resolution: Annotated[int, tyro.conf.arg(help="image side in pixels")] = 32
    per_class: Annotated[int, tyro.conf.arg(help="train images of each class")] = 40
    exemplars: Annotated[int, tyro.conf.arg(help="exemplars that the memory holds")] = 180
    batch: Annotated[int, tyro.conf.arg(help="fresh samples a step, and exemplars beside them")] = (
        16
    )
    learning_rate: Annotated[float, tyro.conf.arg(help="peak of AdamW")] = 5e-4
    sgd_rate: Annotated[float, tyro.conf.arg(help="peak of SGD")] = 0.05
    threads: Annotated[int, tyro.conf.arg(help="CPU threads; 0: torch's own choice")] = 1
    write: Annotated[Path | None, tyro.conf.arg(help="file to write the page into")] = None


@dataclass(frozen=True)
class Case:
    """One run.

    Args:
        strategy: our name of it.
        side: "ours", "avalanche", or "lined-up": Avalanche's without those differences from ours
            that can be removed.
        optimizer: "adamw" or "sgd".
        head: "fixed" or "grow".
        epochs: passes over each experience.
        seed: of the run.
    """

    strategy: str
    side: str
    optimizer: Literal["adamw", "sgd"]
    head: Literal["fixed", "grow"]
    epochs: int
    seed: int

    @property
    def name(self) -> str:
        """Name of the result's file."""
        setting = f"{self.optimizer}_{self.head}_{self.epochs}-epochs"
        return f"{self.strategy}_{self.side}_{setting}_seed{self.seed}"


def cases(options: Options) -> Iterator[Case]:
    """All runs, those of one seed before the next one's.

    Raises:
        UserError: a strategy without a reference.
    """
    for name in options.strategy:
        if name not in STRATEGIES:
            raise UserError(f"--strategy {name}: no reference; {nearest(name, STRATEGIES)}")
    for seed, epochs, head, kind, name in itertools.product(
        range(options.seeds), options.epochs, options.head, options.optimizer, options.strategy
    ):
        sides = ["ours"] if head == "grow" and name in FIXED else ["ours", "avalanche"]
        for side in [*sides, "lined-up"] if len(sides) > 1 and name in LINED_UP else sides:
            yield Case(name, side, kind, head, epochs, seed)


def peak(options: Options, kind: str) -> float:
    """The peak learning rate of an optimiser."""
    return options.sgd_rate if kind == "sgd" else options.learning_rate


def run_config(options: Options, case: Case) -> RunConfig:
    """Our options of a run."""
    return RunConfig(
        data_root=options.data_root,
        strategy=AS_AVALANCHE.get(case.strategy, case.strategy),
        fill="after",  # as Avalanche's plugins do; its ER_ACE fills before, if not lined up
        experiences=options.experiences,
        epochs=case.epochs,
        batch=options.batch,
        replay_batch=options.batch,
        optimizer=case.optimizer,
        learning_rate=peak(options, case.optimizer),
        weight_decay=0.0 if case.optimizer == "sgd" else RunConfig.weight_decay,
        resolution=options.resolution,
        head=case.head,
        seed=case.seed,
        **PLAIN,
    )


def few(stream: Scenario, labels: Tensor, count: int) -> Scenario:
    """Return a stream with the first `count` train samples of each class.

    Args:
        stream: to be cut.
        labels: (N,) of the train set.
        count: samples per class.
    """
    parts = []
    for ids, classes in zip(stream.train, stream.classes, strict=True):
        own = [ids[labels[ids] == label][:count] for label in classes]
        parts.append(torch.cat(own).sort().values)
    return replace(stream, train=tuple(parts))


def experiment(options: Options, case: Case, data: RunData, folder: Path) -> Experiment:
    """Our run, with a memory of exactly as many exemplars as asked for."""
    config = run_config(options, case)
    probe = Experiment(config, data, folder)
    if probe.memory is not None:
        empty = probe.memory.used_bytes
        ids = probe.stream.train[0][:1]
        fields = probe.memory.exemplar_fields
        extras = {name: torch.zeros(1, *spec.shape) for name, spec in fields.items()}
        probe.memory.offer(Samples(ids, probe.labels[ids], data), extras)
        budget = empty + options.exemplars * (probe.memory.used_bytes - empty)
        config = replace(config, memory_mb=budget / 1e6)
    stream = few(probe.stream, probe.labels, options.per_class)
    return Experiment(config, data, folder, stream=stream)


def run_ours(options: Options, case: Case, data: RunData) -> dict[str, Any]:
    """Our strategy on the stream."""
    with TemporaryDirectory() as folder:
        run = experiment(options, case, data, Path(folder) / case.name)
        first = fingerprint(run.learner.model)
        run.run()
    rows = (
        pd.DataFrame(run.record.accuracy)
        .groupby(["after_experience", "experience"])["correct"]
        .sum()
    )
    correct = []
    for last in range(len(run.stream)):
        correct.append([int(rows[last, tested]) for tested in range(last + 1)])
    predicted = run.learner.predict(data.test_tokens[torch.cat(run.stream.test)]).tolist()
    held = 0 if run.memory is None else len(run.memory)
    outcome = avalanche.Outcome(
        correct, [len(ids) for ids in run.stream.test], predicted, run.learner.total_steps, held
    )
    return asdict(outcome) | {"first_weights": first}


def run_avalanche(options: Options, case: Case, data: RunData) -> dict[str, Any]:
    """Avalanche's strategy on the same stream, from the same weights."""
    config = run_config(options, case)
    with TemporaryDirectory() as folder:
        ours = experiment(options, case, data, Path(folder))
    generators = Generators(case.seed)
    model = build_model(config, data, len(ours.class_names), generators["initialisation"])

    def embedded(raw: Tensor, ids: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        return ours.learner.augment(raw), labels[ids]

    task = avalanche.Task(
        train=[embedded(data.tokens(ids), ids, ours.labels) for ids in ours.stream.train],
        test=[embedded(data.test_tokens[ids], ids, ours.tests.labels) for ids in ours.stream.test],
        model=model,
        optimisation=optimisation(config),
        batch=options.batch,
        replay_batch=options.batch,
        exemplars=options.exemplars,
        options=build_strategy(config).options,
        order=generators["fresh order"],
        replay=generators["replay"],
        grow_head=case.head == "grow",
    )
    first = fingerprint(model)
    outcome = avalanche.run(
        task, case.strategy, case.side == "lined-up", derive_seed(case.seed, "library")
    )
    return asdict(outcome) | {"first_weights": first}


def fingerprint(model: nn.Module) -> str:
    """Return a digest of a model's weights."""
    digest = hashlib.sha256()
    for weight in model.state_dict().values():
        digest.update(weight.numpy().tobytes())
    return digest.hexdigest()[:16]


def settings(options: Options, kind: str) -> dict[str, Any]:
    """Return the settings that all results of a folder with one optimiser share."""
    names = ("experiences", "resolution", "per_class", "exemplars", "batch")
    return {name: getattr(options, name) for name in names} | {"learning_rate": peak(options, kind)}


def run_case(options: Options, case: Case, data: RunData) -> dict[str, Any]:
    """One run's result, with what it is of."""
    began = time.monotonic()
    result = (run_ours if case.side == "ours" else run_avalanche)(options, case, data)
    return (
        asdict(case)
        | settings(options, case.optimizer)
        | result
        | {"seconds": round(time.monotonic() - began, 1)}
    )


def run_missing(options: Options, console: Console) -> None:
    """Run what the folder does not hold.

    Raises:
        UserError: it holds results of other settings.
    """
    options.out.mkdir(parents=True, exist_ok=True)
    for path in sorted(options.out.glob("*.json")):
        stored = json.loads(path.read_text())
        for name, value in settings(options, stored["optimizer"]).items():
            if stored[name] != value:
                raise UserError(
                    f"--out {options.out}: {path.name} has {name} {stored[name]}, not {value}; "
                    "give another folder"
                )
    todo = [case for case in cases(options) if not (options.out / f"{case.name}.json").exists()]
    if not todo:
        return
    data = RunData(run_config(options, todo[0]))
    for number, case in enumerate(track(todo, "runs", console), 1):
        result = run_case(options, case, data)
        write_atomic(options.out / f"{case.name}.json", json.dumps(result) + "\n")
        share = 100 * sum(result["correct"][-1]) / sum(result["total"])
        outcome = f"{share:.1f} %, {result['steps']} steps, {result['seconds']} s"
        console.print(f"{number}/{len(todo)} {case.name}: {outcome}", highlight=False)


def main() -> None:
    """Run what is missing, then write the table."""
    options = tyro.cli(Options, description=__doc__)
    with torch_threads(options.threads):
        run_missing(options, Console(soft_wrap=True))
    publish(answer(options.out, typed_command("studies.reference")), options.write)
