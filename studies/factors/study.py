"""The lead of tokens, divided among bytes, labelled pre-training and length of training.

Stages: `pretrain` trains the learners that start with knowledge of other classes, `bytes` runs
every arm at every budget, `number` gives tokens as many exemplars as images, and `length` and
`joint` find how long each arm goes on gaining, from a memory and with all data at once. Every run
has a folder in --out; finished runs are skipped and interrupted ones resumed, so the same command
goes on.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.console import Console

from seit_cl import RunConfig, run_experiment
from seit_cl.core.cli import parse_line, run_command
from seit_cl.core.devices import share_machine
from seit_cl.core.errors import UserError, nearest
from seit_cl.reporting.markdown import publish, typed_command
from studies.factors.arms import ARMS, BUDGETS, Arm, format_at
from studies.factors.page import study_page
from studies.factors.same_codec import write_through_codec
from studies.factors.self_supervised import Source, train_without_labels

Stage = Literal["pretrain", "bytes", "number", "length", "joint"]
STAGES: tuple[Stage, ...] = ("pretrain", "bytes", "number", "length", "joint")
SHARED = RunConfig(experiences=5, cutmix_p=0.0, token_rrc=0.6, fill="after", strategy="er")
LENGTH_BUDGET = 0.1  # MB, at which lengths are compared
ORDER_SEED = 1993  # class order of seed 0; seed s has that of 1993 + s
PRETRAINING_EPOCHS = 38  # 25,000 images each: the 944,448 image passes of the bundled tokenizer
PRETRAINING = RunConfig(
    strategy="joint",
    experiences=1,
    memory_mb=0.0,
    epochs=PRETRAINING_EPOCHS,
    batch=64,
    learning_rate=1e-3,
    cutmix_p=0.0,
    save_model=True,
)
RESOLUTION = 64  # pixels
NUMBER_BUDGET = 0.1  # MB, at which tokens get the number of the images


@dataclass(frozen=True)
class Options:
    """Options of the study."""

    data_root: Annotated[Path, tyro.conf.arg(help="bench-mini: image folder, train/ and val/")]
    pretraining_data: Annotated[
        Path, tyro.conf.arg(help="the tokenizer's labelled images: image folder, train/ and val/")
    ]
    out: Annotated[Path, tyro.conf.arg(help="folder of the results")]
    photos: Annotated[
        Path | None,
        tyro.conf.arg(help="the tokenizers' larger images, for training without labels"),
    ] = None
    arm: Annotated[tuple[str, ...], tyro.conf.arg(help="arms, most important first")] = tuple(ARMS)
    stages: Annotated[tuple[Stage, ...], tyro.conf.arg(help="parts of the study")] = STAGES
    seed: Annotated[tuple[int, ...], tyro.conf.arg(help="each has a class order of its own")] = (
        0,
        1,
        2,
        3,
        4,
    )
    budgets: Annotated[tuple[float, ...], tyro.conf.arg(help="budgets of stage bytes, MB")] = (
        BUDGETS
    )
    epochs: Annotated[int, tyro.conf.arg(help="passes over an experience at all budgets")] = 20
    lengths: Annotated[
        tuple[int, ...], tyro.conf.arg(help="passes over an experience that are compared")
    ] = (10, 20, 40, 80)
    joint_lengths: Annotated[
        tuple[int, ...], tyro.conf.arg(help="passes over all data in joint training")
    ] = (20, 60, 120)
    length_seed: Annotated[tuple[int, ...], tyro.conf.arg(help="seeds of the lengths")] = (0,)
    jobs: Annotated[int, tyro.conf.arg(help="runs beside one another")] = 1
    dry_run: Annotated[bool, tyro.conf.arg(help="list the runs and stop")] = False
    write: Annotated[Path | None, tyro.conf.arg(help="file to write the page into")] = None


@dataclass(frozen=True)
class Case:
    """One run.

    Args:
        folder: its group's, below --out.
        config: its options.
    """

    folder: str
    config: RunConfig


def pretraining(options: Options, name: str) -> Case:
    """The joint training, with labels, of an arm's learner on the pre-training images."""
    config = replace(PRETRAINING, data_root=options.pretraining_data, **ARMS[name].options)
    return Case(f"pretrained/{name}", config)


def learning(options: Options, name: str, budget: float, epochs: int, seed: int) -> Case:
    """A run of an arm at a budget in MB."""
    arm = ARMS[name]
    config = replace(
        SHARED,
        data_root=_data_of(options, arm, budget),
        format=format_at(arm, budget),
        memory_mb=budget,
        epochs=epochs,
        seed=seed,
        class_order_seed=ORDER_SEED + seed,
        init=_weights_of(options, name),
        **arm.options,
    )
    return Case(f"{name}/epochs-{epochs}/{budget:g}MB", config)


def joint(options: Options, name: str, epochs: int, seed: int) -> Case:
    """Joint training of an arm's learner on all of the data at once."""
    case = learning(options, name, LENGTH_BUDGET, epochs, seed)
    config = replace(case.config, strategy="joint", memory_mb=0.0)
    return Case(f"{name}/joint-{epochs}/0MB", config)


def with_exemplars(options: Options, name: str, number: int, seed: int) -> Case:
    """A run of an arm with at most a number of exemplars."""
    case = learning(options, name, NUMBER_BUDGET, options.epochs, seed)
    folder = f"{name}/number-{number}/{NUMBER_BUDGET:g}MB"
    return Case(folder, replace(case.config, max_exemplars=number))


def _data_of(options: Options, arm: Arm, budget: float) -> Path:
    if arm.data == "plain":
        return options.data_root
    return options.out / "data" / _file_name(format_at(ARMS["images-same-codec"], budget))


def _file_name(spec: str) -> str:
    return spec.replace(":", "-").replace(",", "-").replace("=", "")


def _weights_of(options: Options, name: str) -> Path | None:
    """The run, or the file, whose weights an arm starts from."""
    if ARMS[name].pretraining == "none":
        return None
    if ARMS[name].pretraining == "features":
        return options.out / "pretrained" / f"{name}.safetensors"
    (run,) = [path for path in (options.out / f"pretrained/{name}").glob("*") if path.is_dir()]
    return run


def cases(options: Options, stage: Stage) -> Iterator[Case]:
    """The runs of a stage: all arms with one seed before the next seed."""
    if stage == "pretrain":
        for name in options.arm:
            if ARMS[name].pretraining == "labels":
                yield pretraining(options, name)
    if stage == "bytes":
        for seed, budget, name in itertools.product(options.seed, options.budgets, options.arm):
            yield learning(options, name, budget, options.epochs, seed)
    if stage == "number":
        yield from _number_cases(options)
    if stage == "length":
        for seed, epochs, name in itertools.product(
            options.length_seed, options.lengths, options.arm
        ):
            yield learning(options, name, LENGTH_BUDGET, epochs, seed)
    if stage == "joint":
        learners = [name for name in options.arm if ARMS[name].own_learner]
        lengths = itertools.product(options.length_seed, options.joint_lengths, learners)
        for seed, epochs, name in lengths:
            yield joint(options, name, epochs, seed)


def _number_cases(options: Options) -> Iterator[Case]:
    """Tokens with as many exemplars as the images of the same seed end with."""
    for seed in options.seed:
        for tokens, images in (
            ("tokens-labels", "images-tokens-labels"),
            ("tokens", "images-tokens"),
        ):
            if tokens not in options.arm or images not in options.arm:
                continue
            of_images = make(
                options.out, learning(options, images, NUMBER_BUDGET, options.epochs, seed)
            )
            yield with_exemplars(options, tokens, of_images, seed)


def make(out: Path, case: Case) -> int:
    """Run a case unless it has finished; return the number of exemplars at its end."""
    result = run_experiment(case.config, out / case.folder)
    return int(result.facts.get("exemplars", 0))


def prepare(options: Options, stage: Stage) -> None:
    """Make what a stage needs besides runs: images through a codec, weights without labels."""
    if stage == "pretrain":
        source = Source(options.pretraining_data, options.photos, options.out / "pretrained")
        for name in options.arm:
            if ARMS[name].pretraining == "features":
                weights = _weights_of(options, name)
                assert weights is not None
                train_without_labels(SHARED.model, source, weights)
    budgets = {"length": (LENGTH_BUDGET,), "bytes": options.budgets}.get(stage, ())
    for name in options.arm:
        arm = ARMS[name]
        for budget in budgets:
            if arm.data == "same-codec":
                target = _data_of(options, arm, budget)
                spec = format_at(ARMS["images-same-codec"], budget)
                write_through_codec(options.data_root, target, spec, RESOLUTION)


def run_all(planned: Iterable[Case], out: Path, jobs: int, console: Console) -> None:
    """Run cases in processes of their own, with a line for each that ends."""
    waiting = list(planned)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, context, _begin_worker, (jobs,)) as processes:
        running = {}
        for case in waiting:
            running[processes.submit(make, out, case)] = case
        for number, done in enumerate(as_completed(running), 1):
            case = running[done]
            budget = f"{case.config.memory_mb:g} MB, seed {case.config.seed}"
            done.result()
            console.print(f"{number} of {len(waiting)}: {case.folder}, {budget}")


def _begin_worker(jobs: int) -> None:
    """Share the machine with other workers, and end with the parent, however that ends."""
    share_machine(jobs)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def main() -> None:
    """Run what is missing, then print the page."""
    run_command(_main)


def _main() -> None:
    options = parse_line(
        lambda: tyro.cli(Options, prog="python -m studies.factors", description=__doc__)
    )
    for name in options.arm:
        if name not in ARMS:
            raise UserError(f"--arm {name}: no such arm; {nearest(name, tuple(ARMS))}")
    for budget in options.budgets:
        if budget not in BUDGETS:
            raise UserError(f"--budgets {budget:g}: no codec is chosen for it; one of {BUDGETS}")
    console = Console()
    for stage in options.stages:
        if not options.dry_run:
            prepare(options, stage)
        planned = list(cases(options, stage))
        if options.dry_run:
            for case in planned:
                console.print(stage, case.folder, case.config.memory_mb, case.config.seed)
            continue
        run_all(planned, options.out, options.jobs, console)
    if not options.dry_run:
        publish(study_page(options.out, typed_command("studies.factors")), options.write)
