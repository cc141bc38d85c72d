"""Last lines of a command that made runs: the answer, its picture, and what to run next."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from seit_cl.reporting.headline import answer, comparisons
from seit_cl.results.run_files import Run

PICTURE = Path("figures", "accuracy_against_memory.png")
# Tokens against JPEG on the built-in images at budgets that bind: about a minute on two cores.
COMPARISON = (
    "--memory-mb 0.01 0.04 --format tokens jpeg_scan:quality=25 --seed 0 1 2 "
    "--experiences 5 --epochs 3 --jobs 2"
)


def answer_lines(runs: Sequence[Run], out: Path) -> list[str]:
    """Compare tokens with other formats in words, and name the picture.

    Args:
        runs: all runs of a report, `variant` set.
        out: folder of the report.

    Returns:
        no lines where no budget that binds has runs of both.
    """
    if not any(any(each.full) for each in comparisons(runs)):
        return []
    return [*answer(runs), f"picture: {out / PICTURE}"]


def comparison_hint(program: str) -> list[str]:
    """Name the command that compares tokens with JPEG on the built-in images.

    Args:
        program: the command `run` as the user calls it.
    """
    return [
        "these runs do not compare formats where bytes are short; in about a minute on 2 cores "
        "this does, tokens against JPEG:",
        f"  {program} {COMPARISON}",
    ]
