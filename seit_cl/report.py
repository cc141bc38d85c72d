"""Figures, tables and report.html of output folders, from result files only: python -m seit_cl.report DIR [DIR …]"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from seit_cl.core.errors import UserError
from seit_cl.core.files import write_atomic
from seit_cl.reporting.cost import Prices
from seit_cl.reporting.figures import make_reports
from seit_cl.reporting.loading import (
    Gathered,
    gather,
    load_summary,
    mark_variants,
    write_summary,
)
from seit_cl.reporting.page import render_page
from seit_cl.reporting.presets import PRESETS
from seit_cl.reporting.summary import NUMBERS, summary_table, terminal_summary

__all__ = [
    "build_report",
    "load_summary",
    "main",
    "mark_variants",
    "summary_table",
    "terminal_summary",
]

COSTS = {
    "--cost-per-gb-month": "price of a GB (10^9 bytes) kept for a month, in any currency: says what storing the stream costs",
    "--images-per-day": "of the stream, all stored",
    "--retention-months": "how long every image is kept",
    "--cost-per-core-hour": "price of a core-hour, for tokenizing and encoding; none: storage alone is priced",
}


def build_report(out: Path) -> Path:
    """Writes summary.csv, figures/, captions.md, tables/ and report.html into out, replacing earlier ones.

    Returns:
        the path of report.html.

    Raises:
        UserError: out is no folder, holds no run, or is a run's own folder.
    """
    return write_report(gather([out]), out)


def write_report(
    gathered: Gathered, out: Path, style: str = "web", prices: Prices | None = None
) -> Path:
    """The report of gathered runs in the folder out; returns the path of report.html.

    Args:
        gathered: runs, and what is said of them.
        out: made where it is not there.
        style: of the figures, a name in PRESETS.
        prices: for what storing costs; none: nothing is said of it.
    """
    out.mkdir(parents=True, exist_ok=True)
    summary, runs = write_summary(gathered, out), gathered.runs
    made = make_reports(runs, out, style, prices)
    html = render_page(
        out.resolve().name, runs, summary, summary_table(summary), NUMBERS, made, gathered.notes
    )
    write_atomic(out / "report.html", html)
    return out / "report.html"


class _Parser(argparse.ArgumentParser):
    """Bad arguments become one line, as in the other commands."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; give the --out folder of earlier runs")


def _prices(options: argparse.Namespace) -> Prices | None:
    """Prices where the command line has any of them.

    Raises:
        UserError: one is missing.
    """
    given = {name: getattr(options, name.strip("-").replace("-", "_")) for name in COSTS}
    if all(value is None for value in given.values()):
        return None
    missing = [name for name in list(COSTS)[:3] if given[name] is None]
    if missing:
        raise UserError(
            f"{' and '.join(missing)} missing: what storing costs needs {', '.join(list(COSTS)[:3])}"
        )
    return Prices(*(float(value or 0) for value in given.values()))


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = _Parser(prog="python -m seit_cl.report", description=__doc__.split(":")[0] + ".")
    parser.add_argument(
        "dirs",
        type=Path,
        metavar="DIR",
        nargs="+",
        help="an --out folder of earlier runs; several: compared",
    )
    parser.add_argument(
        "--out", type=Path, help="where the report goes; none: the first DIR that holds runs"
    )
    parser.add_argument(
        "--style",
        choices=PRESETS,
        default="web",
        help="sizes of the figures; paper and slides come as PDF too",
    )
    for name, text in COSTS.items():
        parser.add_argument(name, type=float, help=text)
    try:
        options = parser.parse_args(argv)
        prices = _prices(options)
        gathered = gather(options.dirs)
        out = options.out or gathered.folders[0]
        page = write_report(gathered, out, options.style, prices)
        terminal_summary(gathered.summary())
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        problem = f"{error.filename or 'the report'}: {error.strerror or error}"
        print(f"error: {problem}; the report needs a folder it can write", file=sys.stderr)
        return 2
    for note in gathered.notes:
        print(f"note: {note}")
    print(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
