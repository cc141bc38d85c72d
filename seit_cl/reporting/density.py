"""The table, figure and picture of `python -m seit_cl.density`."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from seit_cl.tokenizers._quality import psnr

MB = 1_000_000
OURS, OTHERS = "#0072B2", "#999999"
CELL = 1.1  # inches
NONE = "–"  # in a cell of the table


def fit(row: pd.Series, budget_mb: float) -> int:
    """Exemplars that a budget in MB holds, of mean size."""
    return max(0, int((budget_mb * MB - row["header"] - row["tables"]) / row["bytes_each"]))


def markdown(table: pd.DataFrame, budgets: Sequence[float], what: str) -> str:
    """A table of formats and one of what others store.

    Args:
        table: rows as `seit_cl.density` makes them; those without a payload are others'.
        budgets: MB.
        what: was measured.
    """
    ours, others = table[table["payload"].notna()], table[table["payload"].isna()]
    head = [
        "format",
        "bytes each",
        "record",
        *(f"in {mb:g} MB" for mb in budgets),
        "PSNR, dB",
        "SSIM",
        "tokens kept",
    ]
    head += ["encode/s", "decode/s", "beside it, MB"]
    lines = [_line(head), _line(["---"] + ["---:"] * (len(head) - 1))]
    for _, row in ours.iterrows():
        similarity = NONE if pd.isna(row["ssim"]) else f"{row['ssim']:.3f}"
        lines.append(
            _line(
                [
                    str(row["format"]),
                    f"{row['bytes_each']:,.1f}",
                    f"{row['payload']:,.1f}",
                    *(f"{fit(row, mb):,}" for mb in budgets),
                    _decibels(row["psnr"]),
                    similarity,
                    f"{row['tokens_kept']:.0%}",
                    f"{row['encode_per_second']:,.0f}",
                    f"{row['decode_per_second']:,.0f}",
                    f"{row['codec_bytes'] / MB:.2f}",
                ]
            )
        )
    missing = "– (not installed)"
    sizes = [missing if pd.isna(size) else f"{size:,.1f}" for size in others["bytes_each"]]
    rest = [f"| {name} | {size} |" for name, size in zip(others["format"], sizes, strict=True)]
    note = (
        f"Measured on {what}. Bytes each: record, its length where it varies, and label, as the memory's file counts them. "
        "Tokens kept: what a token learner sees unchanged in what comes back. Speeds: images a second on one core, from "
        "pixels or tokens to records and back, tokenizing left out. Beside it: what ships with the tokenizer."
    )
    return "\n".join(
        [
            note,
            "",
            *lines,
            "",
            "| what others store | bytes an image |",
            "| --- | ---: |",
            *rest,
            "",
        ]
    )


def _decibels(psnr: float) -> str:
    """PSNR in a cell; nothing where no images come back."""
    return NONE if pd.isna(psnr) else "exact" if psnr == float("inf") else f"{psnr:.1f}"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def figure(table: pd.DataFrame) -> Figure:
    """Bytes an exemplar, by what they are for, on a logarithmic axis; others' in grey."""
    rows = (
        table.dropna(subset=["bytes_each"])
        .sort_values("bytes_each", ascending=False)
        .reset_index(drop=True)
    )
    drawn = Figure(figsize=(6.4, 0.27 * len(rows) + 1.0), layout="constrained")
    FigureCanvasAgg(drawn)
    ax = drawn.subplots()
    for place, (_, row) in enumerate(rows.iterrows()):
        mine = pd.notna(row["payload"])
        ax.barh(place, row["bytes_each"], color=OURS if mine else OTHERS, height=0.7)
        ax.annotate(
            f" {row['bytes_each']:,.0f}", (row["bytes_each"], place), va="center", fontsize=7
        )
    ax.set_yticks(range(len(rows)), rows["format"], fontsize=7)
    ax.set_xscale("log")
    ax.set_xlim(right=float(rows["bytes_each"].max()) * 2)
    ax.set_xlabel(
        "bytes an exemplar, label and length included (log scale)\ngrey: what others store, without them",
        fontsize=7,
    )
    ax.tick_params(axis="x", labelsize=7)
    ax.spines[["top", "right"]].set_visible(False)
    return drawn


def picture(originals: Tensor, back: dict[str, Tensor], sizes: dict[str, Tensor]) -> Figure:
    """Images above what each format gives back of them.

    Args:
        originals: (B, 3, S, S) uint8.
        back: (B, 3, S, S) uint8 by format.
        sizes: (B,) bytes of the records, by format.
    """
    rows = {"original": originals, **back}
    drawn = Figure(
        figsize=(CELL * len(originals) + 1.6, (CELL + 0.25) * len(rows)), layout="constrained"
    )
    FigureCanvasAgg(drawn)
    axes = drawn.subplots(len(rows), len(originals), squeeze=False)
    for line, (name, images) in zip(axes, rows.items(), strict=True):
        line[0].set_ylabel(
            name.replace(":", ":\n").replace(",", ",\n"),
            fontsize=7,
            rotation=0,
            ha="right",
            va="center",
        )
        for i, (ax, image) in enumerate(zip(line, images, strict=True)):
            ax.imshow(image.permute(1, 2, 0).numpy(), interpolation="nearest")
            ax.set(xticks=[], yticks=[])
            if name in sizes:
                decibels = psnr(originals[i], image)
                fidelity = "exact" if decibels == float("inf") else f"{decibels:.1f} dB"
                ax.set_xlabel(f"{int(sizes[name][i]):,} bytes, {fidelity}", fontsize=6)
    return drawn
