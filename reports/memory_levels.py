"""The table of exemplars by their number of levels, of memories that cut them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from seit_cl.reporting.base import Report
from seit_cl.reporting.grouping import (
    MB,
    Series,
    Setting,
    budget_of,
    mean_std,
    rank_in_order,
    series_of,
    setting_of,
    with_exemplars,
    with_memory,
    without_sweep_trials,
)
from seit_cl.reporting.labels import differing_fields, field_values, series_label
from seit_cl.reporting.tables import MISSING, Table
from seit_cl.results.run_files import Run

CAPTION = (
    "Exemplars by their number of levels at the end of a run, in memories that cut exemplars to "
    "fewer levels before they remove one (degrade=levels). Means over seeds."
)
Place = tuple[Setting, Series, int]


class MemoryLevels(Report):
    """A row per setting, series and budget, a column per number of levels."""

    title = "Exemplars by number of levels"

    def make(self, runs: Sequence[Run]) -> Table | None:
        """Make the table; None if no finished run cut exemplars."""
        groups: dict[Place, list[dict[int, int]]] = {}
        for run in without_sweep_trials(with_exemplars(with_memory(runs))):
            counts = counts_by_levels(run)
            if counts:
                place = (setting_of(run), series_of(run), budget_of(run))
                groups.setdefault(place, []).append(counts)
        if not groups:
            return None
        levels = range(1, max(max(counts) for group in groups.values() for counts in group) + 1)
        rank = rank_in_order({series for _, series, _ in groups})
        places = sorted(groups, key=lambda place: (place[0], place[2], rank[place[1]]))
        fields = differing_fields([setting for setting, _, _ in places])
        text = []
        numbers = []
        for setting, series, budget in places:
            means = _means(groups[setting, series, budget], levels)
            label = series_label(series, runs)
            cells = [f"{means[level]:,.0f}" if level in means else MISSING for level in levels]
            text.append([*field_values(setting, fields), label, f"{budget / MB:g}", *cells])
            row: dict[str, Any] = {**setting._asdict(), **series._asdict(), "memory_bytes": budget}
            for level, mean in means.items():
                row[f"levels_{level}"] = mean
            numbers.append(row)
        headings = [*fields, "format", "memory, MB", *[_heading(level) for level in levels]]
        return Table(CAPTION, headings, text, pd.DataFrame(numbers), text_columns=len(fields) + 1)


def counts_by_levels(run: Run) -> dict[int, int]:
    """Exemplars by number of levels after the last experience; empty for a run that cut none."""
    memory = run.memory
    if memory is None or memory.empty:
        return {}
    last = memory[memory["experience"] == memory["experience"].max()]
    rows = last[last["kind"] == "levels"]
    return {int(name): int(value) for name, value in zip(rows["name"], rows["value"], strict=True)}


def _means(group: Sequence[dict[int, int]], levels: range) -> dict[int, float]:
    """Mean counts over runs, of the levels that they have."""
    means = {}
    for level in levels:
        counts = [float(of_run[level]) for of_run in group if level in of_run]
        if counts:
            means[level] = mean_std(counts)[0]
    return means


def _heading(level: int) -> str:
    return "1 level" if level == 1 else f"{level} levels"


REPORT = MemoryLevels
