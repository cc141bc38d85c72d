"""report.html: the answer, charts and a table that filters change, figures to download, and what every run was made with."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import math
import shlex
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

import jinja2
import pandas as pd
from PIL import Image

from seit_cl.reporting import headline
from seit_cl.reporting.figures import Made
from seit_cl.reporting.grouping import (
    MB,
    Series,
    at_all_budgets,
    budget_of,
    finished,
    in_order,
    is_tokens,
    series_of,
    setting_of,
    trained_jointly,
    with_memory,
    without_sweep_trials,
)
from seit_cl.reporting.labels import megabytes, series_label
from seit_cl.reporting.styles import bound_styles, run_styles
from seit_cl.reporting.tables import Table
from seit_cl.results.metrics import accuracy_seen
from seit_cl.results.run_files import Run

FIGURE_BYTES = 4_000_000  # of the page, which stays below 5 MB with hundreds of runs
PNG_COLOURS = 128  # line art and bands: no difference to see, a third of the bytes
PNG_WIDTH = 2_000  # pixels; beyond what a screen shows, the SVG serves
DASH = 2.2  # width that matplotlib's dash lengths are multiples of, in the chart's pixels
IDENTITY = {
    "Versions": ("seit_cl", "torch", "timm", "avalanche", "python"),
    "Machine": ("machine", "system", "device", "precision"),
    "Dataset": ("dataset_identity",),
    "Tokenizer": ("tokenizer_identity",),
}
FACETS = {
    "dataset": "Dataset",
    "scenario": "Scenario",
    "strategy": "Strategy",
    "learner": "Learner",
    "format": "Format",
    "memory_bytes": "Memory",
    "options": "Options",
    "seed": "Seed",
}


def render_page(
    name: str,
    runs: Sequence[Run],
    summary: pd.DataFrame,
    table: tuple[Sequence[str], Sequence[Sequence[str]]],
    numbers: Mapping[str, tuple[str, float, int]],
    made: Made,
    notes: Sequence[str] = (),
) -> str:
    """The whole page, which refers to nothing outside itself.

    Args:
        name: of what is reported.
        runs: all of them, `variant` set.
        summary: their rows of summary.csv.
        table: headings and rows of text, a row per group of seeds.
        numbers: column of a run's summary -> heading in `table`, factor, decimals.
        made: figures and tables.
        notes: a line for each thing to know of the folders.
    """
    folder = files("seit_cl.reporting")
    parts = [(folder / file).read_text(encoding="utf-8") for file in ("report.js", "charts.js")]
    script = "\n".join(['"use strict";', "(() => {", *parts, "start();", "})();"])
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    page = environment.from_string((folder / "report.html.j2").read_text(encoding="utf-8"))
    headings, rows = table
    classes = _class_lists(runs)
    return page.render(
        name=name,
        css=(folder / "report.css").read_text(encoding="utf-8"),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        data=_json(page_data(runs, summary, headings, numbers)),
        sentences=headline.answer(runs),
        note=headline.NOTE,
        beside=_beside(runs),
        headings=headings,
        rows=rows,
        first_number=list(headings).index("seeds"),
        facets=_facets(runs),
        figures=_embedded(made.figures),
        tables=[_table(name, title, table) for name, (title, table) in made.tables.items()],
        failures=made.failures,
        notes=notes,
        runs=[_describe(run, classes) for run in runs],
        classes={number: list(names) for names, number in classes.items()},
        counts={
            status: sum(run.status == status for run in runs)
            for status in ("finished", "running", "failed")
        },
        skipped={
            str(run.get("dataset")): n for run in runs if (n := int(run.get("skipped_images", 0)))
        },
    )


def page_data(
    runs: Sequence[Run],
    summary: pd.DataFrame,
    headings: Sequence[str],
    numbers: Mapping[str, tuple[str, float, int]],
) -> dict[str, Any]:
    """What the page's script draws from: columns of the table, lines of the charts, and the runs' values.

    Returns:
        JSON-safe values; accuracies are fractions in "values" and percentages in "curve".
    """
    lines, places = _lines(runs)
    everywhere = at_all_budgets(runs)
    sure = {(run.run_id, budget_of(run)) for run in without_sweep_trials(everywhere)}
    rows = dict(zip(summary["run_id"], summary[list(numbers)].to_dict("records"), strict=True))
    entries = []
    for run in runs:
        entry: dict[str, Any] = {"done": run.status == "finished", **facts_of(run)}
        if entry["done"]:
            entry["line"] = places[run_series(run)]
            entry["values"] = {column: _finite(value) for column, value in rows[run.run_id].items()}
            entry["curve"] = [_finite(100 * value) for value in accuracy_seen(run.accuracy)]
            entry["tried"] = budget_of(run) > 0 and (run.run_id, budget_of(run)) not in sure
            entry["once"] = trained_jointly(run)
        entries.append(entry)
    place = {run.run_id: i for i, run in enumerate(runs)}
    also = [
        [place[run.run_id], budget_of(run), (run.run_id, budget_of(run)) not in sure]
        for run in everywhere
        if budget_of(run) != budget_of(runs[place[run.run_id]])
    ]
    columns = _columns(headings, numbers)
    return {
        "columns": columns,
        "lines": lines,
        "runs": entries,
        "also": also,
        "facets": list(FACETS),
    }


def _lines(runs: Sequence[Run]) -> tuple[list[dict[str, Any]], dict[Series, int]]:
    """How every line of the charts looks, as in the figures, and the place of each series among them."""
    done = finished(runs)
    looks: dict[Series, tuple[str, str, Any]] = {
        key: tuple(style) for key, style in run_styles(done).items()
    }
    free = sorted({run_series(run) for run in done if not budget_of(run)})
    for key, bound in bound_styles(free).items():
        looks[key] = (bound["color"], "", bound["linestyle"])
    lines = [
        {
            "label": series_label(key, done),
            "color": color,
            "marker": marker,
            "dash": "" if line == "-" else " ".join(f"{DASH * length:g}" for length in line[1]),
        }
        for key, (color, marker, line) in looks.items()
    ]
    return lines, {key: i for i, key in enumerate(looks)}


def _columns(
    headings: Sequence[str], numbers: Mapping[str, tuple[str, float, int]]
) -> list[dict[str, Any]]:
    """What stands in each column of the table."""
    keys = {"memory, MB": "memory_bytes"} | {
        heading: column for column, (heading, _, _) in numbers.items()
    }
    columns = []
    for heading in headings:
        key = keys.get(heading, heading)
        _, factor, digits = numbers.get(key, ("", 1, 0))
        columns.append({"key": key, "factor": factor, "digits": digits, "number": key in numbers})
    return columns


def run_series(run: Run) -> Series:
    """The line of a run; one without memory is a bound, called after its strategy."""
    key = series_of(run)
    return key if budget_of(run) else key._replace(format=setting_of(run).strategy)


def facts_of(run: Run) -> dict[str, Any]:
    """What filters go by, as text; memory and seed as numbers. Those that a damaged run lacks are ""."""
    known = {
        facet: str(run.get(facet, ""))
        for facet in ("dataset", "scenario", "strategy", "learner", "format")
    }
    seed = run.get("seed", "")
    return {**known, "memory_bytes": _bytes(run), "options": run.variant, "seed": seed}


def _bytes(run: Run) -> Any:
    """The budget; of a run that has no facts yet, from its options."""
    if "memory_bytes" in run.metadata:
        return int(run.metadata["memory_bytes"])
    asked = run.config.get("memory_mb")
    return round(float(asked) * MB) if isinstance(asked, int | float) else ""


def _finite(value: Any) -> float | None:
    """A number that JSON has."""
    number = math.nan if value is None else float(value)
    return round(number, 9) if math.isfinite(number) else None


def _json(data: Any) -> str:
    """JSON for a script element: nothing in it can end the element, whatever names runs have."""
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _facets(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """The filters that have a choice: values in order, with the words for people."""
    known = [facts_of(run) for run in runs if run.status == "finished"]
    facets = []
    for key, title in FACETS.items():
        values = {facts[key] for facts in known if facts[key] != "" or key == "options"}
        if len(values) < 2:
            continue
        ordered = sorted(values)
        if key == "format":
            ordered = [
                series.format for series in in_order({Series(value, "") for value in values})
            ]
        facets.append(
            {
                "key": key,
                "title": title,
                "values": [(value, _word(key, value)) for value in ordered],
            }
        )
    return facets


def _word(facet: str, value: Any) -> str:
    """What a filter calls a value."""
    if facet == "memory_bytes":
        return megabytes(value) if value else "no memory"
    return str(value) or "none"


def _embedded(figures: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Every figure as it goes into the page: a PNG of few colours and the SVG compressed, as base64, while there is room.

    Returns:
        "png" and "svg" are "" where the page would grow too large.
    """
    room = FIGURE_BYTES
    shown = []
    for figure in figures:
        entry = {
            "name": figure["name"],
            "title": figure["title"],
            "caption": figure["caption"],
            "svg": "",
        }
        image, entry["width"], entry["height"] = _small_png(figure["png"])
        parts = {"png": image, "svg": gzip.compress(figure["svg"], mtime=0)}
        for kind, data in parts.items():
            text = base64.b64encode(data).decode()
            entry[kind] = text if len(text) <= room else ""
            room -= len(entry[kind])
        shown.append(entry)
    return shown


def _table(name: str, title: str, table: Table) -> dict[str, Any]:
    """A table as it goes into the page: text, which cells stand out, and its files to download."""
    links = {
        suffix: base64.b64encode(text.encode()).decode() for suffix, text in table.files().items()
    }
    return {"name": name, "title": title, "table": table, "links": links}


def _small_png(data: bytes) -> tuple[bytes, int, int]:
    """The image with PNG_COLOURS colours and PNG_WIDTH pixels at most, its width and its height."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    if image.width > PNG_WIDTH:
        image = image.resize(
            (PNG_WIDTH, round(image.height * PNG_WIDTH / image.width)), Image.Resampling.LANCZOS
        )
    buffer = io.BytesIO()
    image.quantize(PNG_COLOURS, dither=Image.Dither.NONE).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue(), image.width, image.height


def _beside(runs: Sequence[Run]) -> str:
    """What token runs need beside the memory."""
    sizes = {
        int(run.get("codec_bytes", 0)) for run in with_memory(runs) if is_tokens(series_of(run))
    } - {0}
    if not sizes:
        return ""
    low, high = (megabytes(size) for size in (min(sizes), max(sizes)))
    return (
        f"Tokenizer and coder, {low if low == high else f'{low} to {high}'}, are not in the budget."
    )


def _class_lists(runs: Sequence[Run]) -> dict[tuple[str, ...], int]:
    """Lists of class names, each numbered: hundreds of runs share a few."""
    numbers: dict[tuple[str, ...], int] = {}
    for run in runs:
        names = run.environment.get("classes")
        if isinstance(names, list):
            numbers.setdefault(tuple(map(str, names)), len(numbers) + 1)
    return numbers


def _describe(run: Run, classes: Mapping[tuple[str, ...], int]) -> dict[str, Any]:
    """What the page shows of one run."""
    environment = {
        key: value for key, value in run.environment.items() if key not in ("command", "classes")
    }
    command, names = run.environment.get("command", ""), run.environment.get("classes")
    identity = {
        title: {k: environment.pop(k) for k in keys if k in environment}
        for title, keys in IDENTITY.items()
    }
    identity["Dataset"] = {
        "dataset": run.get("dataset"),
        "scenario": run.get("scenario"),
        **identity["Dataset"],
    }
    identity["Tokenizer"].setdefault("tokenizer_identity", run.get("tokenizer") or "none")
    identity["More"] = environment
    options = [
        f"{option}: {json.dumps(value, ensure_ascii=False, default=str)}"
        for option, value in run.config.items()
    ]
    return {
        "id": run.run_id,
        "status": {"finished": "", "running": "not finished", "failed": "failed"}[run.status],
        "problem": run.problem,
        "command": shlex.join(map(str, command)) if isinstance(command, list) else str(command),
        "identity": {
            title: {k: v for k, v in known.items() if v is not None}
            for title, known in identity.items()
            if known
        },
        "classes": classes[tuple(map(str, names))] if isinstance(names, list) else 0,
        "number_of_classes": len(names) if isinstance(names, list) else 0,
        "config": "\n".join(options),
        "facts": json.dumps(run.metadata, indent=1, ensure_ascii=False),
    }
