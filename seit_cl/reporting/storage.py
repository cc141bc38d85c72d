"""Storage of formats as `density` measured it, for the figure and the tables of costs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from seit_cl.core.errors import reading
from seit_cl.formats import format_domain
from seit_cl.formats._baselines import ORIGINAL_FILES
from seit_cl.reporting.cost import Prices, Storage
from seit_cl.reporting.grouping import (
    Series,
    mean_std,
    of_budget,
    of_series,
    percentages,
    sorted_budgets,
    sorted_series,
    with_exemplars,
)
from seit_cl.reporting.tables import MISSING
from seit_cl.results.metrics import final_accuracy
from seit_cl.results.run_files import Run

KEPT = "the original files"  # row of images that are kept as they are
# Columns of density.csv that are used.
NUMBERS = (
    *("bytes_each", "payload", "codec_bytes", "encode_per_second", "tokenize_per_second"),
    *("psnr", "ssim", "tokens_kept"),
)


class Accuracy(NamedTuple):
    """Final accuracy over seeds, in percent."""

    mean: float
    std: float
    seeds: int


class Fidelity(NamedTuple):
    """Bytes and fidelity of an image in a format, as `density` measured it.

    Args:
        psnr: in dB; infinite where the pixels are the same, nan where there are none.
        ssim: structural similarity; nan where there are no pixels.
        tokens_kept: fraction of tokens that a token learner sees unchanged.
    """

    psnr: float
    ssim: float
    tokens_kept: float

    def cells(self) -> list[str]:
        """The three numbers as cells of a table."""
        psnr = "exact" if math.isinf(self.psnr) else f"{self.psnr:.1f}"
        return [
            MISSING if math.isnan(self.psnr) else psnr,
            MISSING if math.isnan(self.ssim) else f"{self.ssim:.3f}",
            f"{self.tokens_kept:.0%}",
        ]


class MeasuredSeries(NamedTuple):
    """A format with its storage and fidelity, and its runs' accuracy by memory budget in bytes.

    The series has no learner where no run stored the format; the accuracy is empty then.
    """

    series: Series
    storage: Storage
    fidelity: Fidelity
    accuracy: dict[int, Accuracy]


def read_density(path: Path) -> pd.DataFrame:
    """Read the table that `python -m seit_cl.density` wrote.

    Args:
        path: its --out folder, or density.csv in it.

    Raises:
        UserError: there is none, or it is damaged.
    """
    file = path / "density.csv" if path.is_dir() else path
    advice = "give the --out folder of python -m seit_cl.density"
    with reading(f"--density {file}", "no table of densities", advice):
        table = pd.read_csv(file)
        if "tokenize_per_second" not in table:  # of earlier versions
            table["tokenize_per_second"] = math.nan
        numbers = table[list(NUMBERS)].astype(float)
        if numbers.lt(0).any(axis=None) or not table["bytes_each"].gt(0).any():
            raise ValueError("a number is negative, or no format has bytes")
        table[list(NUMBERS)] = numbers
        table["format"] = table["format"].astype(str)
    return table


def priced_formats(density: pd.DataFrame) -> dict[str, tuple[Storage, Fidelity]]:
    """Storage and fidelity by format, first of the original files, where there are some.

    Args:
        density: as `seit_cl.experiment.density_measures.measure` returns it.
    """
    formats: dict[str, tuple[Storage, Fidelity]] = {}
    for _, row in density.iterrows():
        if row["format"] == ORIGINAL_FILES:
            kept = Storage(row["bytes_each"], 0, 0.0), Fidelity(math.inf, 1.0, 1.0)
            formats = {KEPT: kept, **formats}
        elif not pd.isna(row["payload"]):
            fidelity = Fidelity(row["psnr"], row["ssim"], row["tokens_kept"])
            formats[row["format"]] = _storage_of(row), fidelity
    return formats


def _storage_of(row: pd.Series) -> Storage:
    """The storage of a format, from its row of the table."""
    seconds = 1 / row["encode_per_second"]
    # Formats of pixels may have a codec, too, and need no tokenizer.
    if row["codec_bytes"] > 0 and format_domain(row["format"]) == "tokens":
        seconds += 1 / row["tokenize_per_second"]
    return Storage(row["bytes_each"], row["codec_bytes"], seconds)


def measured_series(runs: Sequence[Run], density: pd.DataFrame) -> list[MeasuredSeries]:
    """Every format that was measured, with the accuracies of the runs that stored it.

    Args:
        runs: of one setting; a run's format is found by its canonical spec.
        density: as in `priced_formats`.

    Returns:
        One for each learner and variant of a format; none where no run stored an exemplar.
    """
    stored = with_exemplars(runs)
    if not stored:
        return []
    result = []
    for name, (storage, fidelity) in priced_formats(density).items():
        of_format = [series for series in sorted_series(stored) if series.format == name]
        for series in of_format or [Series(name, "")]:
            group = of_series(stored, series)
            accuracy = {}
            for budget in sorted_budgets(group):
                values = percentages(of_budget(group, budget), final_accuracy)
                accuracy[budget] = Accuracy(*mean_std(values), len(values))
            result.append(MeasuredSeries(series, storage, fidelity, accuracy))
    return result


def budgets_of(measured: Iterable[MeasuredSeries]) -> list[int]:
    """The memory budgets of some series in bytes, increasing."""
    budgets: set[int] = set()
    for each in measured:
        budgets.update(each.accuracy)
    return sorted(budgets)


def describe_stream(prices: Prices) -> str:
    """Describe the stream and its prices."""
    if prices.per_core_hour:
        encoding = f"{prices.per_core_hour:g} per core-hour of encoding"
    else:
        encoding = "encoding not priced"
    return (
        f"{prices.images_per_day:,.10g} images a day, each kept {prices.retention_months:g} months "
        f"at {prices.per_gb_month:g} per GB and month, {encoding}; "
        "in the currency of the prices; codec bytes included once"
    )
