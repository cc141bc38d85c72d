"""Costs of storing a stream of images, from the bytes and speeds that `density` measured."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd

from seit_cl.core.numbers import significant
from seit_cl.reporting.cost import (
    Prices,
    Storage,
    core_hours_a_month,
    gigabytes,
    month_when_full,
    spent,
)
from seit_cl.reporting.markdown import table as markdown_table
from seit_cl.reporting.storage import Fidelity, describe_stream, priced_formats
from seit_cl.reporting.tables import MISSING

CAPTION = (
    "GB, full: the store once images leave it as fast as they arrive. Core-hours: of one core, to "
    "tokenize and encode a month of the stream, without reading its files; a dash where the speed "
    "is not known. PSNR, SSIM, tokens kept: what is left of an image, which is the other price of "
    "a format."
)


def cost_table(table: pd.DataFrame, prices: Prices) -> pd.DataFrame:
    """Price what was measured.

    Args:
        table: as `seit_cl.experiment.density_measures.measure` returns it.
        prices: of storage.

    Returns:
        A row for the original files where there are some, and one per format: format, bytes_each,
        gigabytes_full, core_hours_a_month, month_when_full, spent_in_retention, psnr, ssim and
        tokens_kept.
    """
    rows = []
    for name, (storage, fidelity) in priced_formats(table).items():
        rows.append({"format": name, **costs_of(storage, prices), **fidelity._asdict()})
    return pd.DataFrame(rows)


def costs_of(storage: Storage, prices: Prices) -> dict[str, float]:
    """The columns of bytes and costs, in their order."""
    return {
        "bytes_each": storage.bytes_each,
        "gigabytes_full": gigabytes(storage, prices, prices.retention_months),
        "core_hours_a_month": core_hours_a_month(storage, prices),
        "month_when_full": month_when_full(storage, prices),
        "spent_in_retention": spent(storage, prices, prices.retention_months),
    }


def cost_headings(prices: Prices) -> list[str]:
    """Headings of the columns of bytes, costs and fidelity."""
    return [
        "bytes each",
        "GB, full",
        "core-hours a month",
        "a month, full",
        f"spent in {prices.retention_months:g} months",
        "PSNR, dB",
        "SSIM",
        "tokens kept",
    ]


def cost_cells(costs: Mapping[str, float], fidelity: Fidelity) -> list[str]:
    """The same columns as text."""
    cells = []
    for name, value in costs.items():
        text = f"{value:,.0f}" if name == "bytes_each" else significant(value, 4)
        cells.append(MISSING if math.isnan(value) else text)
    return [*cells, *fidelity.cells()]


def cost_markdown(table: pd.DataFrame, prices: Prices) -> str:
    """Format what was measured as a paragraph and a table of costs.

    Args:
        table, prices: as in `cost_table`.
    """
    lines = []
    for name, (storage, fidelity) in priced_formats(table).items():
        lines.append([name, *cost_cells(costs_of(storage, prices), fidelity)])
    text = f"What storing a stream costs: {describe_stream(prices)}. {CAPTION}"
    return f"{text}\n\n{markdown_table(['format', *cost_headings(prices)], lines)}"
