"""The table of the FLOPs of runs by kind of work, beside their accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from seit_cl.core.numbers import significant
from seit_cl.reporting.base import Report
from seit_cl.reporting.grouping import MB, finished, without_sweep_trials
from seit_cl.reporting.labels import differing_fields, field_values, series_label
from seit_cl.reporting.pareto import Point, left_out_note, pareto_front, points_of, with_flops
from seit_cl.reporting.tables import MISSING, Table, plus_minus
from seit_cl.results.names import FLOPS_COLUMNS
from seit_cl.results.run_files import Run

TERA = 1e12
CAPTION = (
    "FLOPs of runs in units of 10^12, means over runs (docs/compute.md). Strategy: what the "
    "strategy adds to the training steps, around them too. Decoding: tokenizing exemplars that are "
    "stored as images. Testing includes tokenizing the test images. Front: no other run with a "
    "memory has the accuracy with fewer bytes or, but for testing, FLOPs."
)


class Compute(Report):
    """A row per setting, series and budget."""

    title = "FLOPs by kind of work"

    def make(self, runs: Sequence[Run]) -> Table | None:
        """Make the table; None if no run recorded its FLOPs."""
        candidates = without_sweep_trials(finished(runs))
        points = points_of(with_flops(candidates))
        if not points:
            return None
        fields = differing_fields([point.setting for point in points])
        fronts = _fronts(points)
        text = []
        numbers: list[dict[str, Any]] = []
        for i, point in enumerate(points):
            names = field_values(point.setting, fields)
            budget = f"{point.budget / MB:g}" if point.budget else MISSING
            flops = [significant(point.flops[name] / TERA, 3) for name in FLOPS_COLUMNS]
            accuracy = plus_minus(point.accuracy, point.std, point.runs > 1)
            label = series_label(point.series, runs)
            steps = f"{point.steps:,.0f}"
            text.append([*names, label, fronts[i] or MISSING, budget, steps, *flops, accuracy])
            numbers.append(
                {
                    **point.setting._asdict(),
                    **point.series._asdict(),
                    "memory_bytes": point.budget,
                    "runs": point.runs,
                    "steps": point.steps,
                    **point.flops,
                    "final_accuracy": point.accuracy / 100,
                    "front": fronts[i],
                }
            )
        kinds = [name.removeprefix("flops_") for name in FLOPS_COLUMNS]
        headings = [*fields, "format", "front", "memory MB", "steps", *kinds, "final %"]
        note = left_out_note(candidates)
        caption = f"{CAPTION} {note}." if note else CAPTION
        return Table(caption, headings, text, pd.DataFrame(numbers), text_columns=len(fields) + 2)


def _fronts(points: Sequence[Point]) -> dict[int, str]:
    """The Pareto fronts that each point is on, by its position: "bytes", "FLOPs", both or ""."""
    on: dict[int, list[str]] = {i: [] for i in range(len(points))}
    for stream in {point.setting[:2] for point in points}:
        members = []
        for i, point in enumerate(points):
            if point.budget and point.setting[:2] == stream:
                members.append(i)
        accuracies = [points[i].accuracy for i in members]
        costs = {
            "bytes": [points[i].used_bytes for i in members],
            "FLOPs": [points[i].learning_flops for i in members],
        }
        for name, values in costs.items():
            for position in pareto_front(values, accuracies):
                on[members[position]].append(name)
    return {i: " and ".join(names) for i, names in on.items()}


REPORT = Compute
