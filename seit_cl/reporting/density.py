"""Table, figure and picture of `python -m seit_cl.density`."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from seit_cl.core.figures import literal_text
from seit_cl.experiment.density_examples import Examples
from seit_cl.reporting.axes import plain_log
from seit_cl.reporting.markdown import table as markdown_table
from seit_cl.tokenizers._quality import psnr

MB = 1_000_000
FORMAT_COLOUR = "#0072B2"
BASELINE_COLOUR = "#999999"
CELL = 1.1  # inches, side of an image in the picture
EMPTY = "–"  # in a cell of the table
NOT_INSTALLED = "– (not installed)"


def exemplars_in(row: pd.Series, budget_mb: float) -> int:
    """Exemplars of mean size that a budget in MB holds, for a format's row of the table."""
    available = budget_mb * MB - row["header"] - row["tables"]
    return max(0, int(available / row["bytes_each"]))


def markdown(table: pd.DataFrame, budgets: Sequence[float], title: str) -> str:
    """Format the measurements as a table of formats and one of baselines.

    Args:
        table: as `seit_cl.experiment.density_measures.measure` returns it.
        budgets: in MB.
        title: images that were measured.
    """
    is_format = table["payload"].notna()
    parts = [
        f"Measured on {title}. Bytes each: record, its length where it varies, and label, as the "
        "memory's file counts them. PSNR and SSIM: likeness to the image at this side, more is "
        "nearer. Tokens kept: fraction that a token learner sees unchanged. "
        "Speeds: images per second on one core, from pixels or tokens to records and back, without "
        "tokenizing. Codec: tokenizer and entropy model, which are not in the memory.",
        _format_table(table[is_format], budgets),
        "Baselines, without labels: the files as they are, and ways to store the same tokens: as "
        "the SeiT release does, all in one gzip file or each in one of its own; codes of fixed "
        "width, each image compressed by xz or zstd; codes coded by their frequency alone "
        "(order-0).",
        _baseline_table(table[~is_format]),
    ]
    return "\n\n".join(parts) + "\n"


def _format_table(rows: pd.DataFrame, budgets: Sequence[float]) -> str:
    """Table of formats."""
    headings = [
        "format",
        "bytes each",
        "record",
        *(f"in {budget:g} MB" for budget in budgets),
        "PSNR, dB",
        "SSIM",
        "tokens kept",
        "encode/s",
        "decode/s",
        "codec, MB",
    ]
    lines = []
    for _, row in rows.iterrows():
        cells = [
            str(row["format"]),
            f"{row['bytes_each']:,.1f}",
            f"{row['payload']:,.1f}",
            *(f"{exemplars_in(row, budget):,}" for budget in budgets),
            _decibels(row["psnr"]),
            EMPTY if pd.isna(row["ssim"]) else f"{row['ssim']:.3f}",
            f"{row['tokens_kept']:.0%}",
            f"{row['encode_per_second']:,.0f}",
            f"{row['decode_per_second']:,.0f}",
            f"{row['codec_bytes'] / MB:.2f}",
        ]
        lines.append(cells)
    return markdown_table(headings, lines)


def _baseline_table(rows: pd.DataFrame) -> str:
    """Table of baselines."""
    lines = []
    for name, size in zip(rows["format"], rows["bytes_each"], strict=True):
        lines.append([name, NOT_INSTALLED if pd.isna(size) else f"{size:,.1f}"])
    return markdown_table(["baseline", "bytes per image"], lines)


def _decibels(decibels: float) -> str:
    """PSNR in a cell: EMPTY where no images are decoded."""
    if pd.isna(decibels):
        return EMPTY
    return "exact" if math.isinf(decibels) else f"{decibels:.1f}"


@literal_text()
def figure(table: pd.DataFrame) -> Figure:
    """Draw the bytes per exemplar of formats, and of baselines in grey, on a logarithmic axis."""
    rows = table.dropna(subset=["bytes_each"]).sort_values("bytes_each", ascending=False)
    drawn = Figure(figsize=(6.4, 0.27 * len(rows) + 1.0), layout="constrained")
    FigureCanvasAgg(drawn)
    ax = drawn.subplots()
    for place, (_, row) in enumerate(rows.iterrows()):
        size = row["bytes_each"]
        colour = BASELINE_COLOUR if pd.isna(row["payload"]) else FORMAT_COLOUR
        ax.barh(place, size, color=colour, height=0.7)
        ax.annotate(f" {size:,.0f}", (size, place), va="center", fontsize=7)
    ax.set_yticks(range(len(rows)), rows["format"], fontsize=7)
    plain_log(ax, "x")
    ax.set_xlim(right=float(rows["bytes_each"].max()) * 2)
    ax.set_xlabel(
        "bytes per exemplar, with label and length (log scale)\ngrey: baselines, without them",
        fontsize=7,
    )
    ax.tick_params(axis="x", labelsize=7)
    ax.spines[["top", "right"]].set_visible(False)
    return drawn


@literal_text()
def picture(examples: Examples) -> Figure:
    """Draw images above what each format decodes to."""
    columns = len(examples.originals)
    rows = {"original": examples.originals, **examples.decoded}
    size = (CELL * columns + 1.6, (CELL + 0.25) * len(rows))
    drawn = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(drawn)
    axes = drawn.subplots(len(rows), columns, squeeze=False)
    for row_axes, (name, images) in zip(axes, rows.items(), strict=True):
        label = name.replace(":", ":\n").replace(",", ",\n")
        row_axes[0].set_ylabel(label, fontsize=7, rotation=0, ha="right", va="center")
        for i, (ax, image) in enumerate(zip(row_axes, images, strict=True)):
            ax.imshow(image.permute(1, 2, 0).numpy(), interpolation="nearest")
            ax.set(xticks=[], yticks=[])
            if name in examples.sizes:
                _caption(ax, int(examples.sizes[name][i]), examples.originals[i], image)
    return drawn


def _caption(ax: Axes, size: int, original: Tensor, image: Tensor) -> None:
    """Write a record's bytes and the decoded image's PSNR under it."""
    decibels = psnr(original, image)
    fidelity = "exact" if math.isinf(decibels) else f"{decibels:.1f} dB"
    ax.set_xlabel(f"{size:,} bytes, {fidelity}", fontsize=6)
