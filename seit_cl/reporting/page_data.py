"""The data that the script of report.html draws from: columns, lines, runs and filters."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from seit_cl.reporting.grouping import (
    MB,
    Series,
    at_all_budgets,
    budget_of,
    finished,
    in_order,
    trained_jointly,
    without_sweep_trials,
)
from seit_cl.reporting.labels import megabytes, series_label
from seit_cl.reporting.places import line_of
from seit_cl.reporting.styles import bound_styles, run_styles
from seit_cl.reporting.summary import NUMBERS
from seit_cl.results.metrics import accuracy_seen
from seit_cl.results.replicates import orders_in, replicate_of
from seit_cl.results.run_files import Run

DASH_SCALE = 2.2  # pixels of the charts for a unit of matplotlib's dash lengths
FACETS = {  # of filters -> their titles
    "dataset": "Dataset",
    "scenario": "Scenario",
    "strategy": "Strategy",
    "learner": "Learner",
    "format": "Format",
    "memory_bytes": "Memory",
    "options": "Options",
    "seed": "Seed",
    "class_order": "Class order",
}


def page_data(
    runs: Sequence[Run], summary: pd.DataFrame, headings: Sequence[str]
) -> dict[str, Any]:
    """Collect everything that the page's script draws from.

    Args:
        runs: all runs, `variant` set.
        summary: their rows of summary.csv.
        headings: of the table (`summary.summary_table`).

    Returns:
        values for JSON: columns of the table, lines of the charts, the runs, copies of runs at
        larger budgets ("also": index of the run, bytes, whether it is a trial of a sweep), the
        names of the filters, and the word for what means are over. Accuracies are fractions in
        "values" and percentages in "curve".
    """
    lines, line_numbers = _lines(runs)
    at_budgets = at_all_budgets(runs)
    settled = {(run.run_id, budget_of(run)) for run in without_sweep_trials(at_budgets)}
    numbers = dict(zip(summary["run_id"], summary[list(NUMBERS)].to_dict("records"), strict=True))
    entries = []
    for run in runs:
        entry: dict[str, Any] = {"done": run.status == "finished", **facet_values(run)}
        if entry["done"]:
            budget = budget_of(run)
            values = numbers[run.run_id]
            entry["line"] = line_numbers[line_of(run)]
            entry["values"] = {name: _json_number(value) for name, value in values.items()}
            entry["curve"] = [_json_number(100 * value) for value in accuracy_seen(run.accuracy)]
            entry["tried"] = budget > 0 and (run.run_id, budget) not in settled
            entry["once"] = trained_jointly(run)
        entries.append(entry)
    index = {run.run_id: i for i, run in enumerate(runs)}
    copies = []
    for run in at_budgets:
        i = index[run.run_id]
        budget = budget_of(run)
        if budget != budget_of(runs[i]):
            copies.append([i, budget, (run.run_id, budget) not in settled])
    return {
        "columns": _columns(headings),
        "lines": lines,
        "runs": entries,
        "also": copies,
        "facets": list(FACETS),
        "replicate": "run" if orders_in(map(replicate_of, finished(runs))) > 1 else "seed",
    }


def to_json(data: Any) -> str:
    """JSON for a script element, which no name of a run can end."""
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _json_number(value: Any) -> float | None:
    """A number as JSON has it: None for nan and infinity."""
    number = math.nan if value is None else float(value)
    return round(number, 9) if math.isfinite(number) else None


def _lines(runs: Sequence[Run]) -> tuple[list[dict[str, Any]], dict[Series, int]]:
    """The lines of the charts in the styles of the figures.

    Returns:
        label, colour, marker and dashes of each line, and its number by series or bound.
    """
    done = finished(runs)
    styles: dict[Series, tuple[str, str, Any]] = {}
    for series, style in run_styles(done).items():
        styles[series] = (style.color, style.marker, style.linestyle)
    bounds = sorted({line_of(run) for run in done if budget_of(run) == 0})
    for bound, properties in bound_styles(bounds).items():
        styles[bound] = (properties["color"], "", properties["linestyle"])
    lines = []
    for series, (colour, marker, linestyle) in styles.items():
        lines.append(
            {
                "label": series_label(series, done),
                "color": colour,
                "marker": marker,
                "dash": _svg_dashes(linestyle),
            }
        )
    return lines, {series: i for i, series in enumerate(styles)}


def _svg_dashes(linestyle: Any) -> str:
    """The stroke-dasharray of matplotlib's line style: "-", or an offset and lengths."""
    if linestyle == "-":
        return ""
    _, lengths = linestyle
    return " ".join(f"{DASH_SCALE * length:g}" for length in lengths)


def _columns(headings: Sequence[str]) -> list[dict[str, Any]]:
    """The columns of the table: name of the value, factor, decimals, and whether it is a number."""
    names = {"memory, MB": "memory_bytes"}
    for name, number in NUMBERS.items():
        names[number.heading] = name
    columns = []
    for heading in headings:
        name = names.get(heading, heading)
        column: dict[str, Any] = {"key": name, "factor": 1, "digits": 0, "number": False}
        if name in NUMBERS:
            _, factor, decimals = NUMBERS[name]
            column |= {"factor": factor, "digits": decimals, "number": True}
        columns.append(column)
    return columns


def facet_values(run: Run) -> dict[str, Any]:
    """The values that filters compare: text, but numbers for the memory and the seeds.

    Values that a damaged run lacks are "".
    """
    values = {}
    for facet in ("dataset", "scenario", "strategy", "learner", "format"):
        values[facet] = str(run.get(facet, ""))
    return {
        **values,
        "memory_bytes": _memory_bytes(run),
        "options": run.variant,
        "seed": run.get("seed", ""),
        "class_order": run.get("class_order_seed", ""),
    }


def _memory_bytes(run: Run) -> int | str:
    """The budget; of a run without metadata, from its options; "" if these lack it too."""
    if "memory_bytes" in run.metadata:
        return int(run.metadata["memory_bytes"])
    megabytes_asked = run.config.get("memory_mb")
    if isinstance(megabytes_asked, int | float):
        return round(float(megabytes_asked) * MB)
    return ""


def facets(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """The filters that have a choice: key, title, and values in order with their text."""
    done = [facet_values(run) for run in finished(runs)]
    result = []
    for key, title in FACETS.items():
        values = {facet[key] for facet in done}
        if key != "options":
            values.discard("")
        if len(values) > 1:
            choices = [(value, _choice_text(key, value)) for value in _ordered(key, values)]
            result.append({"key": key, "title": title, "values": choices})
    return result


def _ordered(facet: str, values: set[Any]) -> list[Any]:
    """The values of a filter in order: formats as in the figures."""
    if facet != "format":
        return sorted(values)
    series = in_order({Series(value, "") for value in values})
    return [each.format for each in series]


def _choice_text(facet: str, value: Any) -> str:
    """The text of a filter's value."""
    if facet == "memory_bytes":
        return megabytes(value) if value else "no memory"
    return str(value) or "none"
