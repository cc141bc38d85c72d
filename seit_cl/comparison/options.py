"""The options of a comparison, without the code that runs it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from seit_cl.core.cli import hint

Stage = Literal["sweep", "claim", "pixels", "baseline", "bounds", "raw"]
ALL_STAGES: tuple[Stage, ...] = ("sweep", "claim", "pixels", "baseline", "bounds", "raw")
VALIDATION_FRACTION = 0.2  # of the training images, where --validation-fraction gives none


@dataclass(frozen=True)
class ComparisonOptions:
    """Options of a comparison other than those of its runs."""

    kind: Annotated[tuple[str, ...], hint("image formats that compete as the rival of tokens")] = (
        "jpeg_scan",
        "webp_scan",
        "avif_scan",
    )
    quality: Annotated[tuple[int, ...], hint("qualities of every kind")] = (5, 10, 25, 50, 75, 90)
    sides: Annotated[
        tuple[int, ...], hint("sides at which images are stored, in percent of the learner's")
    ] = (100,)
    trained: Annotated[
        int,
        hint(
            "candidates of every kind that the sweep trains at a budget, the first ones of a "
            "ranking without training; 0: all"
        ),
    ] = 2
    choose_on: Annotated[
        Literal["validation", "test"],
        hint(
            "images by which the sweep chooses: training images that its runs leave out, or, as "
            "in earlier versions, the test images"
        ),
    ] = "validation"
    baseline: Annotated[str, hint("format to use without a sweep")] = "jpeg:quality=75"
    claim_seeds: Annotated[int, hint("number of seeds of tokens and of the best rivals")] = 5
    seeds: Annotated[int, hint("number of seeds of all other runs; the sweep has one")] = 3
    stages: Annotated[tuple[Stage, ...], hint("stages to run; claim and pixels need the sweep")] = (
        ALL_STAGES
    )
    write: Annotated[Path | None, hint("file to write the tables to")] = None
    dry_run: Annotated[bool, hint("print the runs without running them")] = False
