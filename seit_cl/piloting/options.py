"""The options of a pilot, without the code that runs it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from seit_cl.core.cli import OutPath, hint, parse_line, program
from seit_cl.core.errors import UserError
from seit_cl.core.options import flag
from seit_cl.core.sizes import check_budget, size_reader
from seit_cl.datasets._location import location_name
from seit_cl.formats import check_format_name
from seit_cl.launch import Launch
from seit_cl.reporting.cost import ENCODING_HELP, REQUIRED_PRICES, Prices

ORIGINALS = "jpeg:original"  # always part of a pilot, which compares with them
DEFAULT_FORMATS = ("tokens", "jpeg_scan:quality=auto")


@dataclass(frozen=True)
class PilotOptions:
    """Options of a pilot."""

    data_root: Annotated[
        tyro.conf.Positional[Path],
        hint("photographs, a folder for each class, or other images as --data-root of seit_cl.run"),
    ]
    cost_per_gb_month: Annotated[float, hint(REQUIRED_PRICES["--cost-per-gb-month"])]
    images_per_day: Annotated[float, hint(REQUIRED_PRICES["--images-per-day"])]
    retention_months: Annotated[float, hint(REQUIRED_PRICES["--retention-months"])]
    cost_per_core_hour: Annotated[float, hint(ENCODING_HELP)] = 0.0
    out: Annotated[
        OutPath | None, hint("folder of the results; none: pilots/<name of the data>")
    ] = None
    minutes: Annotated[
        float,
        hint("minutes of training of an own tokenizer, on training images; 0: the bundled one"),
    ] = 20.0
    targets: Annotated[
        Literal["features", "labels"],
        hint(
            "what codes of the own tokenizer must predict: features learnt without labels, or the "
            "classes, also those that the learner is to meet later"
        ),
    ] = "features"
    tokenizer: Annotated[
        Literal["better", "own"],
        hint(
            "better: the own tokenizer, or the bundled one where that gives training images back "
            "with less error (PSNR); own: in any case"
        ),
    ] = "better"
    formats: Annotated[
        tuple[str, ...], hint(f"formats beside the originals ({ORIGINALS}), which always compete")
    ] = DEFAULT_FORMATS
    memory_mb: Annotated[
        tuple[Annotated[float, size_reader("--memory-mb")], ...],
        hint(
            "budgets of a memory that keeps a part of the images, in MB or as 20kB; none: the "
            "bytes of 5 and of 20 percent of the training images as tokens"
        ),
    ] = ()
    experiences: Annotated[
        int, hint("parts of the classes, which are learnt one after the other; 0: up to 5")
    ] = 0
    epochs: Annotated[int, hint("passes over each part")] = 5
    resolution: Annotated[int, hint("side in pixels; 0: as in a run")] = 0
    skip_bad_images: Annotated[bool, hint("leave unreadable images out and list them")] = False
    seed: Annotated[tuple[int, ...], hint("seeds of the runs; a claim needs three")] = (0, 1, 2)
    jobs: Annotated[int, hint("runs beside one another")] = 1
    device: Annotated[Literal["auto", "cpu", "cuda"], hint("where tokenizer and learner run")] = (
        "auto"
    )

    @property
    def prices(self) -> Prices:
        """Prices of the stream.

        Raises:
            UserError: one of them is none that storage can have.
        """
        return Prices(
            self.cost_per_gb_month,
            self.images_per_day,
            self.retention_months,
            self.cost_per_core_hour,
        )

    @property
    def folder(self) -> Path:
        """Folder of the results."""
        return self.out or Path("pilots") / location_name(self.data_root)


def parse(arguments: Sequence[str], description: str | None) -> PilotOptions:
    """Read a command line.

    Args:
        arguments: its words.
        description: of the command, for --help.

    Raises:
        UserError: an unknown option, or a value of the wrong type or outside its range.
    """
    options = parse_line(
        lambda: tyro.cli(
            PilotOptions, args=arguments, prog=program("pilot"), description=description
        ),
        arguments,
    )
    _check(options)
    return options


def _check(options: PilotOptions) -> None:
    """Refuse values that would fail later.

    Raises:
        UserError: naming the option.
    """
    _ = options.prices
    Launch(jobs=options.jobs)
    for name, words, is_valid in (
        ("minutes", "0 (the bundled tokenizer) or more", 0 <= options.minutes < math.inf),
        ("epochs", "at least 1", options.epochs >= 1),
        ("experiences", "0 (up to 5) or more", options.experiences >= 0),
        ("resolution", "0 (as in a run) or more", options.resolution >= 0),
    ):
        if not is_valid:
            raise UserError(f"{flag(name)} {getattr(options, name):g}: must be {words}")
    for budget in options.memory_mb:
        check_budget("--memory-mb", budget, "leave it out for budgets that suit the images")
    if not options.seed or min(options.seed) < 0:
        raise UserError("--seed: give one or several numbers, each 0 or more")
    for spec in options.formats:
        check_format_name(spec)
