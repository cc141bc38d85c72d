"""Costs of storing a stream of images, from the bytes and speeds that `density` measured."""

from __future__ import annotations

import math

import pandas as pd

from seit_cl.formats._baselines import ORIGINAL_FILES
from seit_cl.reporting.cost import (
    Prices,
    Storage,
    core_hours_a_month,
    gigabytes,
    month_when_full,
    spent,
)
from seit_cl.reporting.labels import significant
from seit_cl.reporting.markdown import table as markdown_table
from seit_cl.reporting.storage import describe_stream

KEPT = "the original files"  # row of images that are kept as they are
EXACT = "exact"
MISSING = "–"
CAPTION = (
    "GB, full: the store once images leave it as fast as they arrive. Core-hours: of one core, to "
    "tokenize and encode a month of the stream, without reading its files; a dash where the speed "
    "is not known. PSNR, SSIM and tokens kept are those of the table above: a cheaper format keeps "
    "less of an image."
)


def storage_of(row: pd.Series) -> Storage:
    """The storage of a format, from its row of the table."""
    seconds = 1 / row["encode_per_second"]
    if row["codec_bytes"] > 0:  # of the tokenizer
        seconds += 1 / row["tokenize_per_second"]
    return Storage(row["bytes_each"], row["codec_bytes"], seconds)


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
    rows: list[dict[str, object]] = []
    for _, row in table.iterrows():
        if row["format"] == ORIGINAL_FILES:
            fidelity = {"psnr": math.inf, "ssim": 1.0, "tokens_kept": 1.0}
            rows.insert(0, _costs(KEPT, Storage(row["bytes_each"], 0, 0.0), prices) | fidelity)
        elif not pd.isna(row["payload"]):
            fidelity = {name: row[name] for name in ("psnr", "ssim", "tokens_kept")}
            rows.append(_costs(row["format"], storage_of(row), prices) | fidelity)
    return pd.DataFrame(rows)


def _costs(name: str, storage: Storage, prices: Prices) -> dict[str, object]:
    return {
        "format": name,
        "bytes_each": storage.bytes_each,
        "gigabytes_full": gigabytes(storage, prices, prices.retention_months),
        "core_hours_a_month": core_hours_a_month(storage, prices),
        "month_when_full": month_when_full(storage, prices),
        "spent_in_retention": spent(storage, prices, prices.retention_months),
    }


def cost_markdown(costs: pd.DataFrame, prices: Prices) -> str:
    """Format costs as a paragraph and a table.

    Args:
        costs: as `cost_table` returns it.
        prices: of storage.
    """
    headings = [
        "format",
        "bytes each",
        "GB, full",
        "core-hours a month",
        "a month, full",
        f"spent in {prices.retention_months:g} months",
        "PSNR, dB",
        "SSIM",
        "tokens kept",
    ]
    lines = []
    for _, row in costs.iterrows():
        cells = [str(row["format"]), f"{row['bytes_each']:,.0f}"]
        for name in ("gigabytes_full", "core_hours_a_month", "month_when_full"):
            cells.append(_number(row[name]))
        cells.append(_number(row["spent_in_retention"]))
        exact = math.isinf(row["psnr"])
        cells.append(EXACT if exact else _number(row["psnr"], f"{row['psnr']:.1f}"))
        cells.append(_number(row["ssim"], f"{row['ssim']:.3f}"))
        cells.append(f"{row['tokens_kept']:.0%}")
        lines.append(cells)
    text = f"What storing a stream costs: {describe_stream(prices)}. {CAPTION}"
    return f"{text}\n\n{markdown_table(headings, lines)}"


def _number(value: float, text: str = "") -> str:
    """A number in a cell, or MISSING."""
    if math.isnan(value):
        return MISSING
    return text or significant(value, 4)
