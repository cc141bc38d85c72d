"""The options of tuning, without the code that runs trials."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from seit_cl.command_line import parse
from seit_cl.core.cli import hint, parse_line, program
from seit_cl.core.errors import UserError
from seit_cl.core.options import flag

Sampler = Literal["qmc", "random", "tpe"]
Objective = Literal["final_accuracy", "average_incremental_accuracy"]
Source = Literal["data", "first-experience"]


@dataclass(frozen=True)
class TuningOptions:
    """Options of tuning other than those of its runs."""

    trials: Annotated[
        int,
        hint("trials of every strategy, format, learner and budget; the first has the defaults"),
    ] = 16
    on: Annotated[
        Source,
        hint(
            "data: the stream of --data-root, whose classes are not the evaluation's; "
            "first-experience: training images of the evaluation's first experience, a part of "
            "which (--validation-fraction, 0.2 if not given) the trials are tested on"
        ),
    ] = "data"
    apart_from: Annotated[
        Path | None,
        hint("data of the evaluation, as --data-root: refuse to tune on one of its classes"),
    ] = None
    parts: Annotated[int, hint("experiences that --on first-experience cuts its classes into")] = 5
    rates: Annotated[
        tuple[float, float], hint("lowest and highest learning rate; the logarithm is uniform")
    ] = (1e-4, 1e-2)
    objective: Annotated[Objective, hint("mean over the seeds that the best trial maximises")] = (
        "final_accuracy"
    )
    sampler: Annotated[
        Sampler,
        hint(
            "how values are drawn: qmc (an even, quasi-random spread), random, or tpe (depends on "
            "earlier trials, from the tenth on; one trial of a strategy at a time)"
        ),
    ] = "qmc"
    sampler_seed: Annotated[int, hint("seed of the drawn values")] = 0

    def __post_init__(self) -> None:
        """Check every range.

        Raises:
            UserError: naming the option.
        """
        if self.trials < 1:
            raise UserError(f"--trials {self.trials}: must be at least 1")
        if self.parts < 2:
            raise UserError(f"--parts {self.parts}: must be at least 2")
        if not 0 < self.rates[0] < self.rates[1] < float("inf"):
            low, high = self.rates
            raise UserError(f"--rates {low:g} {high:g}: give a rate above 0, then a higher one")
        if not 0 <= self.sampler_seed < 2**32:
            raise UserError(f"--sampler-seed {self.sampler_seed}: must be from 0 to 4294967295")
        if self.apart_from is not None and self.on == "first-experience":
            raise UserError(
                "--apart-from: --on first-experience tunes on the evaluation's own training "
                "images; drop one of them"
            )


def parse_options(arguments: list[str], description: str | None) -> tuple[TuningOptions, Any]:
    """Read a command line.

    Args:
        arguments: its words.
        description: of the command, for --help.

    Returns:
        The options of tuning and those of its runs.

    Raises:
        UserError: no --out, an unknown option, a value outside its range, or a learning rate
            outside of --rates.
    """
    options, rest = parse_line(
        lambda: tyro.cli(
            TuningOptions,
            args=arguments,
            prog=program("tune"),
            description=description,
            return_unknown_args=True,
        ),
        arguments,
    )
    run_options = parse(rest)
    if run_options.out is None:
        raise UserError("--out: give the folder of the trials, so that the command can resume")
    for name in ("only", "dry_run"):
        if getattr(run_options, name):
            raise UserError(f"{flag(name)}: a search makes all of its trials; leave it out")
    low, high = options.rates
    if not low <= run_options.learning_rate <= high:
        raise UserError(
            f"--learning-rate {run_options.learning_rate:g}: the first trial has it, and it is "
            f"outside of --rates {low:g} {high:g}; widen --rates"
        )
    return options, run_options
