"""The gain of masked pre-training without labels at equal bytes, for tokens and for pixels.

Every learner is trained on the same stream from drawn weights and from weights that masked
modelling has made of images of other classes, in as many passes for tokens as for pixels. Finished
runs are skipped and interrupted ones resumed, so the same command goes on.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console

from seit_cl import RunConfig
from seit_cl.core.cli import hint, parse_line, run_command
from seit_cl.core.errors import UserError
from seit_cl.pretraining.command import pretrain
from seit_cl.pretraining.options import Pretraining
from seit_cl.pretraining.settings import MaskingSettings
from seit_cl.reporting.markdown import publish, typed_command
from studies.factors.arms import BUNDLED, UNSUPERVISED
from studies.plan import SHARED, Case, PlanOptions, of_seed, require_known, run_all
from studies.pretraining.page import study_page

# The JPEG or WebP that ends highest for a pixel learner (docs/results/factors.md), by budget in MB.
IMAGES: Mapping[float, str] = {0.02: "webp_scan:quality=25", 0.1: "jpeg_scan:quality=25"}


@dataclass(frozen=True)
class Learner:
    """A learner, its memory and its tokenizer.

    Args:
        description: for tables.
        format: of the memory, or formats by budget in MB.
        options: of `seit_cl.config.RunConfig`.
    """

    description: str
    format: str | Mapping[float, str]
    options: Mapping[str, Any] = field(default_factory=dict)


LEARNERS: Mapping[str, Learner] = {
    "tokens-labels": Learner(
        "tokens, tokenizer trained with labels", "tokens", {"tokenizer": BUNDLED}
    ),
    "pixels": Learner("images, ViT on pixels", IMAGES, {"learner": "pixels"}),
    "tokens": Learner(
        "tokens, tokenizer trained without labels", "tokens", {"tokenizer": UNSUPERVISED}
    ),
}


@dataclass(frozen=True)
class Options(PlanOptions):
    """Options of the study."""

    pretraining_data: Annotated[Path, hint("images of other classes: image folder, train/, val/")]
    learner: Annotated[tuple[str, ...], hint("learners, most important first")] = tuple(LEARNERS)
    budgets: Annotated[tuple[float, ...], hint("budgets, MB")] = (0.1,)
    epochs: Annotated[int, hint("passes over an experience")] = 10
    steps: Annotated[int, hint("steps of the pre-training, of 64 images")] = 3900

    def __post_init__(self) -> None:
        """Check the names of learners, and that a codec is known for each budget.

        Raises:
            UserError: naming the one that is not.
        """
        require_known("learner", self.learner, LEARNERS)
        for budget in self.budgets:
            if budget not in IMAGES:
                known = " or ".join(f"{known:g}" for known in IMAGES)
                raise UserError(f"--budgets {budget:g}: no codec is chosen for it; give {known}")


def weights_of(options: Options, name: str) -> Path:
    """The file of a learner's pre-trained weights."""
    return options.out / "pretrained" / f"{name}.safetensors"


def make_weights(options: Options, name: str, console: Console) -> None:
    """Pre-train a learner's network, unless its file exists."""
    out = weights_of(options, name)
    if out.exists():
        return
    config = RunConfig(data_root=options.pretraining_data, **LEARNERS[name].options)
    pretrain(Pretraining(config, MaskingSettings(steps=options.steps), out), console)


def learning(options: Options, name: str, budget: float, seed: int, pretrained: bool) -> Case:
    """A run of a learner at a budget in MB, from drawn or from pre-trained weights."""
    learner = LEARNERS[name]
    fmt = learner.format if isinstance(learner.format, str) else learner.format[budget]
    config = replace(
        of_seed(SHARED, seed),
        data_root=options.data_root,
        format=fmt,
        memory_mb=budget,
        epochs=options.epochs,
        init=weights_of(options, name) if pretrained else None,
        **learner.options,
    )
    start = "masked" if pretrained else "drawn"
    return Case(f"{name}/{start}/{budget:g}MB", config)


def cases(options: Options) -> Iterator[Case]:
    """All runs: all learners with one seed before the next seed."""
    order = itertools.product(options.budgets, options.seed, options.learner, (False, True))
    for budget, seed, name, pretrained in order:
        yield learning(options, name, budget, seed, pretrained)


def main() -> None:
    """Run what is missing, then print the page."""
    run_command(_main)


def _main() -> None:
    options = parse_line(
        lambda: tyro.cli(Options, prog="python -m studies.pretraining", description=__doc__)
    )
    planned = list(cases(options))
    if not options.dry_run:
        for name in options.learner:
            make_weights(options, name, Console(soft_wrap=True))
    run_all(planned, options)
    if options.dry_run:
        return
    described = {name: learner.description for name, learner in LEARNERS.items()}
    page = study_page(options.out, described, typed_command("studies.pretraining"))
    publish(page, options.write)
