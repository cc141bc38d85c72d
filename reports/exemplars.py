"""Images before and after each format: training images, and their exemplars (exemplars.npz)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from seit_cl.reporting.axes import LOW_PANEL, MANY_ROWS, new_figure
from seit_cl.reporting.base import Report
from seit_cl.reporting.grouping import (
    Series,
    format_kind,
    format_options,
    in_order,
    is_tokens,
    mean_value,
    series_of,
    setting_of,
    with_memory,
    without_sweep_trials,
)
from seit_cl.results.replicates import replicate_of
from seit_cl.results.run_files import Run

MAX_IMAGES = 6  # in a row
MAX_FORMATS = 16  # under the same originals
NOTE = "bytes of an exemplar in the memory's file, mean over runs"


class Pictures(NamedTuple):
    """Images (n, 3, S, S) uint8 before and after a format."""

    before: np.ndarray
    after: np.ndarray


class Codec(NamedTuple):
    """A format on a dataset, with the tokenizer that its exemplars need; "" for none."""

    dataset: str
    series: Series


class Exemplars(Report):
    """A row of original images per dataset, and under it a row per format."""

    title = "Exemplars as each format gives them back"

    def make(self, runs: Sequence[Run]) -> Figure | None:
        """Draw the figure; None if no run with a memory has exemplars.npz."""
        rows = _rows(without_sweep_trials(with_memory(runs)))
        if not rows:
            return None
        columns = max(len(images) for _, images in rows)
        height = 0.92 / LOW_PANEL if len(rows) > MANY_ROWS else 0.92  # never low
        figure = new_figure(self.title, NOTE, (len(rows), columns), (1.05, height))
        axes = figure.subplots(len(rows), columns, squeeze=False)
        layout: Any = figure.get_layout_engine()
        layout.set(w_pad=0.02, h_pad=0.02, wspace=0.0, hspace=0.0)
        for row, (name, images) in zip(axes, rows, strict=True):
            for ax in row:
                ax.set_xticks([])
                ax.set_yticks([])
                ax.spines[:].set_visible(False)
            for ax, image in zip(row, images, strict=False):
                _draw_image(ax, image)
            row[0].set_ylabel(name, rotation=0, ha="right", va="center")
        return figure


def _rows(runs: Sequence[Run]) -> list[tuple[str, np.ndarray]]:
    """The rows of images (n, 3, S, S) with their names: originals, then each format's.

    Runs whose original images are the same share them.
    """
    pictures: dict[Codec, Pictures] = {}
    blocks: dict[tuple[str, bytes], dict[Codec, list[Run]]] = {}
    for run in sorted(runs, key=lambda run: (replicate_of(run), run.run_id)):
        codec = _codec_of(run)
        if codec not in pictures:
            read = read_pictures(run)
            if read is None:
                continue
            pictures[codec] = read
        block = codec.dataset, pictures[codec].before.tobytes()
        blocks.setdefault(block, {}).setdefault(codec, []).append(run)
    rows: list[tuple[str, np.ndarray]] = []
    for (dataset, _), by_codec in sorted(blocks.items()):
        ordered = _in_order(by_codec)[:MAX_FORMATS]
        name = f"{dataset}\noriginal" if len(blocks) > 1 else "original"
        rows.append((name, pictures[ordered[0]].before))
        for codec in ordered:
            rows.append((_name(by_codec[codec]), pictures[codec].after))
    return rows


def _codec_of(run: Run) -> Codec:
    """The format of a run, its dataset, and its tokenizer if it stores tokens."""
    series = series_of(run)
    tokenizer = ""
    if is_tokens(series):
        tokenizer = str(run.environment.get("tokenizer_identity", ""))
    return Codec(setting_of(run).dataset, Series(series.format, tokenizer))


def _in_order(codecs: Mapping[Codec, object]) -> list[Codec]:
    """Codecs of one dataset in the order of their formats."""
    by_series = {codec.series: codec for codec in codecs}
    return [by_series[series] for series in in_order(by_series)]


def read_pictures(run: Run) -> Pictures | None:
    """Read up to MAX_IMAGES images before and after the format from exemplars.npz.

    Returns:
        None if the run has none that can be read.
    """
    try:
        with np.load(run.path / "exemplars.npz", allow_pickle=False) as file:
            before = file["before"]
            after = file["after"]
    except Exception:  # parsers raise anything for a damaged file
        return None
    if before.ndim != 4 or after.ndim != 4 or len(before) != len(after):
        return None
    return Pictures(before[:MAX_IMAGES], after[:MAX_IMAGES])


def _name(runs: Sequence[Run]) -> str:
    """The format of runs, with the bytes of an exemplar, in lines."""
    series = series_of(runs[0])
    size = mean_value(runs, "bytes_per_exemplar")
    options = format_options(series).replace(",", ", ")
    lines = [format_kind(series), options, f"{size:,.0f} bytes"]
    return "\n".join(line for line in lines if line)


def _draw_image(ax: Axes, image: np.ndarray) -> None:
    """Draw an image (3, S, S) without smoothing."""
    ax.imshow(image.transpose(1, 2, 0), interpolation="nearest")


REPORT = Exemplars
