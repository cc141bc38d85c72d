"""Reports made from runs in tests, and the files that they leave."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from seit_cl.core import plugins
from seit_cl.reporting.base import ReportContext
from seit_cl.reporting.cost import Prices
from seit_cl.results.run_files import Run


def density_table() -> pd.DataFrame:
    """A table as `density` writes it, of the originals and of formats of `synthetic_runs`."""
    columns = ["format", "bytes_each", "payload", "codec_bytes", "encode_per_second"]
    columns += ["tokenize_per_second", "psnr", "ssim", "tokens_kept"]
    nan = math.nan
    rows = [
        ["raw", 12289.0, 12288.0, 0, 90_000.0, nan, math.inf, 1.0, 1.0],
        ["jpeg:quality=75,size=64", 1604.0, 1601.0, 0, 8_000.0, nan, 27.0, 0.9, 0.5],
        ["tokens", 325.0, 320.0, 0, 100_000.0, 50.0, 17.0, 0.3, 1.0],
        ["png:size=64", 9000.0, 8997.0, 0, 500.0, nan, math.inf, 1.0, 1.0],
        ["original files", 2000.0, nan, nan, nan, nan, nan, nan, nan],
    ]
    return pd.DataFrame(rows, columns=columns)


def make_report(name: str, runs: Sequence[Run], prices: Prices | None = None) -> Any:
    """Make a report by its name: a figure, a table, or None.

    Args:
        name: of the report.
        runs: of the report.
        prices: apply to `density_table`.
    """
    context = ReportContext(prices, None if prices is None else density_table())
    return plugins.build("report", name, context).make(runs)


def figure_names(out: Path) -> set[str]:
    """The names of the figures in a folder."""
    return {path.stem for path in (out / "figures").glob("*.png")}


def legend_labels(figure: Any) -> list[str]:
    """The labels in the legend of a figure."""
    return [text.get_text() for text in figure.legends[0].get_texts()]


def lines_by_label(ax: Any) -> dict[str, Any]:
    """The lines with error bars of a panel, by label."""
    return {container.get_label(): container.lines[0] for container in ax.containers}
