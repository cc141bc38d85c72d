"""The lead of tokens, divided among bytes, labelled pre-training and length of training.

Stages: `pretrain` trains the learners that start with knowledge of other classes, `bytes` runs
every arm at every budget, `number` gives tokens as many exemplars as images, and `length` and
`joint` find how long each arm goes on gaining, from a memory and with all data at once. Every run
has a folder in --out; finished runs are skipped and interrupted ones resumed, so the same command
goes on.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from seit_cl import RunConfig
from seit_cl.core.cli import hint, parse_line, run_command
from seit_cl.core.errors import UserError
from seit_cl.reporting.markdown import publish, typed_command
from studies.factors.arms import ARMS, BUDGETS, Arm, format_at
from studies.factors.page import study_page
from studies.factors.same_codec import write_through_codec
from studies.factors.self_supervised import Source, train_without_labels
from studies.plan import SHARED, Case, PlanOptions, make, of_seed, require_known, run_all

Stage = Literal["pretrain", "bytes", "number", "length", "joint"]
STAGES: tuple[Stage, ...] = ("pretrain", "bytes", "number", "length", "joint")
LENGTH_BUDGET = 0.1  # MB, at which lengths are compared
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
class Options(PlanOptions):
    """Options of the study."""

    pretraining_data: Annotated[
        Path, hint("the tokenizer's labelled images: image folder, train/ and val/")
    ]
    photos: Annotated[
        Path | None, hint("the tokenizers' larger images, for training without labels")
    ] = None
    arm: Annotated[tuple[str, ...], hint("arms, most important first")] = tuple(ARMS)
    stages: Annotated[tuple[Stage, ...], hint("parts of the study")] = STAGES
    budgets: Annotated[tuple[float, ...], hint("budgets of stage bytes, MB")] = BUDGETS
    epochs: Annotated[int, hint("passes over an experience at all budgets")] = 20
    lengths: Annotated[tuple[int, ...], hint("passes over an experience that are compared")] = (
        10,
        20,
        40,
        80,
    )
    joint_lengths: Annotated[tuple[int, ...], hint("passes over all data in joint training")] = (
        20,
        60,
        120,
    )
    length_seed: Annotated[tuple[int, ...], hint("seeds of the lengths")] = (0,)


def pretraining(options: Options, name: str) -> Case:
    """The joint training, with labels, of an arm's learner on the pre-training images."""
    config = replace(PRETRAINING, data_root=options.pretraining_data, **ARMS[name].options)
    return Case(f"pretrained/{name}", config)


def learning(options: Options, name: str, budget: float, epochs: int, seed: int) -> Case:
    """A run of an arm at a budget in MB."""
    arm = ARMS[name]
    config = replace(
        of_seed(SHARED, seed),
        data_root=_data_of(options, arm, budget),
        format=format_at(arm, budget),
        memory_mb=budget,
        epochs=epochs,
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
    folder = options.out / f"pretrained/{name}"
    if options.dry_run and not folder.exists():
        return folder  # nothing opens it
    (run,) = [path for path in folder.glob("*") if path.is_dir()]
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
            case = learning(options, images, NUMBER_BUDGET, options.epochs, seed)
            if options.dry_run:  # the number of exemplars follows from a run
                yield replace(case, folder=f"{tokens}/number-of-{images}/{NUMBER_BUDGET:g}MB")
                continue
            stored = int(make(options.out, case).facts["exemplars"])
            yield with_exemplars(options, tokens, stored, seed)


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


def main() -> None:
    """Run what is missing, then print the page."""
    run_command(_main)


def _main() -> None:
    options = parse_line(
        lambda: tyro.cli(Options, prog="python -m studies.factors", description=__doc__)
    )
    require_known("arm", options.arm, ARMS)
    for budget in options.budgets:
        if budget not in BUDGETS:
            raise UserError(f"--budgets {budget:g}: no codec is chosen for it; one of {BUDGETS}")
    for stage in options.stages:
        if not options.dry_run:
            prepare(options, stage)
        run_all(list(cases(options, stage)), options)
    if not options.dry_run:
        publish(study_page(options.out, typed_command("studies.factors")), options.write)
