"""What formats do to images: training images, and what the memory gives back of them (exemplars.npz)."""

from __future__ import annotations

import zipfile

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from seit_cl.reporting.axes import LOW_PANEL, MANY_ROWS, new_figure
from seit_cl.reporting.base import Report
from seit_cl.reporting.grouping import (
    Series,
    in_order,
    is_tokens,
    mean_std,
    series_of,
    setting_of,
    with_memory,
    without_sweep_trials,
)
from seit_cl.results.run_files import Run

TITLE = "Exemplars as each format gives them back"
SHOWN = 6  # images
ROWS = 16  # formats


def make(runs: list[Run]) -> Figure | None:
    """A row of images per dataset and one under it per format; None where no run with a memory has exemplars.npz."""
    blocks: dict[tuple[str, bytes], dict[Series, list[Run]]] = {}
    pictures: dict[Series, tuple[np.ndarray, np.ndarray]] = {}
    for run in sorted(
        without_sweep_trials(with_memory(runs)), key=lambda run: (run.get("seed", 0), run.run_id)
    ):
        key = series_of(run)
        tokenizer = str(run.environment.get("tokenizer_identity", "")) if is_tokens(key) else ""
        line = Series(key.format, tokenizer, setting_of(run).dataset)
        if line not in pictures and (found := images(run)) is not None:
            pictures[line] = found
        if line in pictures:
            block = setting_of(run).dataset, pictures[line][0].tobytes()
            blocks.setdefault(block, {}).setdefault(line, []).append(run)
    if not blocks:
        return None
    rows: list[tuple[str, np.ndarray]] = []
    for (dataset, _), lines in sorted(blocks.items()):
        ordered = in_order(lines)[:ROWS]
        rows.append(
            (f"{dataset}\noriginal" if len(blocks) > 1 else "original", pictures[ordered[0]][0])
        )
        rows += [(_name(lines[line]), pictures[line][1]) for line in ordered]
    columns = max(len(row[1]) for row in rows)
    note = "bytes of an exemplar in the memory's file, mean over runs"
    figure = new_figure(
        TITLE,
        note,
        (len(rows), columns),
        (1.05, 0.92 / (LOW_PANEL if len(rows) > MANY_ROWS else 1)),
    )
    axes = figure.subplots(len(rows), columns, squeeze=False)
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0.0, hspace=0.0)  # type: ignore[union-attr, call-arg]
    for i, (name, pixels) in enumerate(rows):
        for j, ax in enumerate(axes[i]):
            _image(ax, pixels[j] if j < len(pixels) else None)
        axes[i, 0].set_ylabel(name, rotation=0, ha="right", va="center")
    return figure


def images(run: Run) -> tuple[np.ndarray, np.ndarray] | None:
    """Up to SHOWN images (n, 3, S, S) uint8 before and after the format; None where the run has none that can be read."""
    try:
        with np.load(run.path / "exemplars.npz", allow_pickle=False) as file:
            before, after = file["before"], file["after"]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return None
    return (
        (before[:SHOWN], after[:SHOWN])
        if before.ndim == after.ndim == 4 and len(before) == len(after)
        else None
    )


def _name(group: list[Run]) -> str:
    """Format and bytes of an exemplar."""
    size = mean_std([float(run.get("bytes_per_exemplar")) for run in group])[0]
    kind, _, options = series_of(group[0]).format.partition(":")
    return "\n".join(filter(None, (kind, options.replace(",", ", "), f"{size:,.0f} bytes")))


def _image(ax: Axes, pixels: np.ndarray | None) -> None:
    """One image (3, S, S), every pixel as it is."""
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)
    if pixels is not None:
        ax.imshow(pixels.transpose(1, 2, 0), interpolation="nearest")


REPORT = Report("exemplars", TITLE, make)
