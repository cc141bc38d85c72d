"""The table of the classes that are most often taken for another one after the last experience."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from seit_cl.reporting.base import Report
from seit_cl.reporting.confusion import confusion_of
from seit_cl.reporting.grouping import (
    MB,
    finished,
    settings_of,
    without_sweep_trials,
)
from seit_cl.reporting.labels import differing_fields, field_values, series_label
from seit_cl.reporting.places import by_place
from seit_cl.reporting.tables import MISSING, Table
from seit_cl.results.replicates import replicate_of, replication_text
from seit_cl.results.run_files import Run

MOST_ROWS = 120  # of the table
MOST_PAIRS = 10  # of one place, where there are few places
FEWEST_PAIRS = 1
CAPTION = (
    "The most frequent wrong answers after the last experience: the images of a class, in % of "
    "these, that are taken for the other class. Mean over {runs}."
)


class Confusions(Report):
    """A few rows per setting, series and budget."""

    title = "Most frequent confusions"

    def make(self, runs: Sequence[Run]) -> Table | None:
        """Make the table; None if no finished run recorded its answers."""
        recorded = [run for run in finished(runs) if not run.confusion.empty]
        shown = without_sweep_trials(recorded)
        groups = by_place(shown)
        if not groups:
            return None
        pairs = max(FEWEST_PAIRS, min(MOST_PAIRS, MOST_ROWS // len(groups)))
        fields = differing_fields(settings_of(shown))
        text = []
        numbers = []
        for place, members in groups.items():
            setting, series, budget = place
            memory = f"{budget / MB:g}" if budget else MISSING
            names = [*field_values(setting, fields), series_label(series, runs), memory]
            for (right, predicted), share in _most_frequent(members, pairs).items():
                text.append([*names, right, predicted, f"{100 * share:.1f}"])
                row: dict[str, Any] = {**setting._asdict(), **series._asdict()}
                row |= {"memory_bytes": budget, "class": right, "predicted": predicted}
                numbers.append(row | {"share": share})
        if not text:
            return None
        headings = [*fields, "format", "memory, MB", "class", "taken for", "% of the class"]
        replicates = []
        for members in groups.values():
            replicates.append([replicate_of(run) for run in members])
        caption = CAPTION.format(runs=replication_text(replicates))
        return Table(caption, headings, text, pd.DataFrame(numbers), len(headings) - 1)


def _most_frequent(runs: Sequence[Run], most: int) -> dict[tuple[str, str], float]:
    """The largest mean shares of wrong answers over replicates, by right and predicted class."""
    sums: dict[tuple[str, str], float] = {}
    for run in runs:
        confusion = confusion_of(run)
        shares = confusion.shares()
        np.fill_diagonal(shares, 0)
        for i, j in np.argwhere(shares > 0):
            pair = confusion.names[i], confusion.names[j]
            sums[pair] = sums.get(pair, 0.0) + float(shares[i, j])
    chosen = sorted(sums, key=lambda pair: (-sums[pair], pair))[:most]
    return {pair: sums[pair] / len(runs) for pair in chosen}


REPORT = Confusions
