"""Figures, tables and report.html of result folders: python -m seit_cl.report DIR [DIR …]

Everything is made from result files; nothing is computed again.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from seit_cl.core.cli import program, read_output, run_command
from seit_cl.core.errors import UserError
from seit_cl.reporting.cost import Prices
from seit_cl.reporting.presets import PRESETS

REQUIRED_PRICES = {
    "--cost-per-gb-month": "price of storing a GB (10^9 bytes) for a month, in any currency; "
    "adds the cost of storing the stream to the report",
    "--images-per-day": "images of the stream, all of which are stored",
    "--retention-months": "time for which every image is stored",
}
ENCODING_PRICE = "--cost-per-core-hour"


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors take one line, as in the other commands."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; give the --out folder of earlier runs")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
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
        ENCODING_PRICE,
        type=float,
        help="price of a core-hour of tokenizing and encoding; by default storage alone is priced",
    )
    return parser


def _prices(options: argparse.Namespace) -> Prices | None:
    """The prices on the command line; None if it has none of them.

    Raises:
        UserError: a price is missing, or is none that storage can have.
    """
    values = {}
    for option in (*REQUIRED_PRICES, ENCODING_PRICE):
        values[option] = getattr(options, option.strip("-").replace("-", "_"))
    if all(value is None for value in values.values()):
        return None
    missing = [option for option in REQUIRED_PRICES if values[option] is None]
    if missing:
        raise UserError(
            f"{' and '.join(missing)} missing: the cost of storage needs "
            f"{', '.join(REQUIRED_PRICES)}"
        )
    per_gb_month, images_per_day, retention_months = (values[each] for each in REQUIRED_PRICES)
    return Prices(per_gb_month, images_per_day, retention_months, values[ENCODING_PRICE] or 0.0)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command.

    Args:
        argv: words of the command line; None: those of the process.

    Raises:
        UserError: no folders of results, or prices that do not fit.
    """
    options = _parser().parse_args(argv)
    prices = _prices(options)
    # Imported now, since pandas and matplotlib take a second.
    from seit_cl.reporting.build import write_report
    from seit_cl.reporting.loading import gather
    from seit_cl.reporting.summary import terminal_summary

    gathered = gather(options.dirs)
    out = options.out or gathered.folders[0]
    page = write_report(gathered, out, options.style, prices)
    terminal_summary(gathered.summary())
    for note in gathered.notes:
        print(f"note: {note}")
    print(page)


if __name__ == "__main__":
    run_command(main)
