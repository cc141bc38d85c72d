"""The options of a comparison, without the code that runs it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from seit_cl.core.cli import hint

Stage = Literal["sweep", "claim", "pixels", "baseline", "bounds", "raw"]
ALL_STAGES: tuple[Stage, ...] = ("sweep", "claim", "pixels", "baseline", "bounds", "raw")


@dataclass(frozen=True)
class ComparisonOptions:
    """Options of a comparison other than those of its runs."""

    kind: Annotated[str, hint("JPEG format whose quality is swept")] = "jpeg_scan"
    quality: Annotated[tuple[int, ...], hint("qualities of the sweep")] = (5, 10, 25, 50, 75, 90)
    baseline: Annotated[str, hint("format to use without a sweep")] = "jpeg:quality=75"
    claim_seeds: Annotated[int, hint("number of seeds of tokens and of the best JPEG")] = 5
    seeds: Annotated[int, hint("number of seeds of all other runs; the sweep has one")] = 3
    stages: Annotated[tuple[Stage, ...], hint("stages to run; claim and pixels need the sweep")] = (
        ALL_STAGES
    )
    jobs: Annotated[
        int, hint("runs beside one another; they share the cores, the GPU and the data")
    ] = 1
    write: Annotated[Path | None, hint("file to write the tables to")] = None
    dry_run: Annotated[bool, hint("print the runs without running them")] = False
