"""Figures, tables and report.html of result folders: python -m seit_cl.report DIR [DIR …]

Everything is made from result files; nothing is computed again.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from seit_cl.core.cli import LineParser, program, read_output, run_command
from seit_cl.core.errors import UserError
from seit_cl.core.importing import importing
from seit_cl.reporting.cost import (
    ENCODING_HELP,
    ENCODING_PRICE,
    REQUIRED_PRICES,
    Prices,
    prices_of,
)
from seit_cl.reporting.presets import PRESETS

DENSITY = "--density"


def _parser() -> argparse.ArgumentParser:
    parser = LineParser(
        prog=program("report"),
        description="Figures, tables and report.html of result folders.",
    )
    parser.add_argument(
        "dirs",
        type=Path,
        metavar="DIR",
        nargs="+",
        help="an --out folder of earlier runs; several are compared",
    )
    parser.add_argument(
        "--out",
        type=read_output,
        help="folder of the report; by default the first DIR that holds runs",
    )
    parser.add_argument(
        "--style",
        choices=PRESETS,
        default="web",
        help="sizes of the figures; paper and slides come as PDF too",
    )
    for option, text in REQUIRED_PRICES.items():
        parser.add_argument(option, type=float, help=text)
    parser.add_argument(
        DENSITY,
        type=Path,
        metavar="DIR",
        help="--out folder of python -m seit_cl.density on the stream's images: bytes, speeds and "
        "fidelity that the prices apply to",
    )
    parser.add_argument(ENCODING_PRICE, type=float, help=ENCODING_HELP)
    return parser


def _prices(options: argparse.Namespace) -> Prices | None:
    """The prices on the command line; None if it has none of them.

    Raises:
        UserError: as `prices_of`.
    """
    values = {}
    for option in (*REQUIRED_PRICES, ENCODING_PRICE):
        values[option] = getattr(options, option.strip("-").replace("-", "_"))
    return prices_of(values)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command.

    Args:
        argv: words of the command line; None: those of the process.

    Raises:
        UserError: no folders of results, or prices that do not fit.
    """
    options = _parser().parse_args(argv)
    prices = _prices(options)
    if (prices is None) != (options.density is None):
        raise UserError(
            f"{DENSITY} and prices go together: bytes and speeds come from python -m "
            "seit_cl.density --data-root DATA --out DIR, which prices alone need no run for"
        )
    # Imported now, since pandas and matplotlib take a second.
    with importing():
        from seit_cl.core.files import make_writable_folder
        from seit_cl.reporting.base import ReportContext
        from seit_cl.reporting.build import write_report
        from seit_cl.reporting.loading import gather
        from seit_cl.reporting.storage import read_density
        from seit_cl.reporting.summary import terminal_summary

    density = None if options.density is None else read_density(options.density)
    gathered = gather(options.dirs)
    out = options.out or gathered.folders[0]
    make_writable_folder(out, "--out")
    page = write_report(gathered, out, options.style, ReportContext(prices, density))
    terminal_summary(gathered.summary())
    for note in gathered.notes:
        print(f"note: {note}")
    print(page)


if __name__ == "__main__":
    run_command(main)
