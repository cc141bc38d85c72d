"""report.html: the answer, charts and a table with filters, figures to download, and all runs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

import jinja2
import pandas as pd

from seit_cl.reporting import headline
from seit_cl.reporting.figures import MadeReports, NamedTable
from seit_cl.reporting.grouping import is_tokens, series_of, with_memory
from seit_cl.reporting.labels import fill_sentence, megabytes
from seit_cl.reporting.page_data import facets, page_data, to_json
from seit_cl.reporting.page_images import embed_figures, to_base64
from seit_cl.reporting.page_runs import describe_runs, number_class_lists
from seit_cl.reporting.summary import NUMBERS, OPTIONAL, summary_table
from seit_cl.results.names import STATUSES
from seit_cl.results.run_files import Run


def render_page(
    name: str,
    runs: Sequence[Run],
    summary: pd.DataFrame,
    made: MadeReports,
    notes: Sequence[str] = (),
) -> str:
    """Render the whole page, which refers to nothing outside itself.

    Args:
        name: of the folder.
        runs: all runs, `variant` set.
        summary: their rows of summary.csv, as `loading.Gathered.summary` returns them.
        made: figures and tables.
        notes: a line for everything to know about the folders.
    """
    headings, rows = summary_table(summary)
    script = _script()
    class_lists = number_class_lists(runs)
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(_resource("report.html.j2"))
    return template.render(
        name=name,
        css=_resource("report.css"),
        script=script,
        script_hash=to_base64(hashlib.sha256(script.encode()).digest()),
        data=to_json(page_data(runs, summary, headings)),
        optional=[name for name in OPTIONAL if NUMBERS[name].heading in headings],
        sentences=headline.answer(runs),
        note=headline.NOTE,
        tokenizer_note=_tokenizer_note(runs),
        fill_note=fill_sentence(runs),
        headings=headings,
        rows=rows,
        first_number=headings.index("seeds"),
        facets=facets(runs),
        figures=embed_figures(made.figures),
        tables=[_embed_table(table) for table in made.tables],
        failures=made.failures,
        notes=notes,
        runs=describe_runs(runs, class_lists),
        classes={number: list(names) for names, number in class_lists.items()},
        counts=_status_counts(runs),
        skipped=_skipped_images(runs),
    )


def _resource(name: str) -> str:
    """The text of a file beside this one."""
    return (files("seit_cl.reporting") / name).read_text(encoding="utf-8")


def _script() -> str:
    """The page's script: its parts in one function, so that they leave nothing in the window."""
    parts = [_resource(name) for name in ("report.js", "charts.js")]
    return "\n".join(['"use strict";', "(() => {", *parts, "start();", "})();"])


def _tokenizer_note(runs: Sequence[Run]) -> str:
    """A sentence on the bytes that runs with tokens need outside the memory; "" without any."""
    sizes = set()
    for run in with_memory(runs):
        size = int(run.get("codec_bytes", 0))
        if is_tokens(series_of(run)) and size > 0:
            sizes.add(size)
    if not sizes:
        return ""
    smallest = megabytes(min(sizes))
    largest = megabytes(max(sizes))
    span = smallest if smallest == largest else f"{smallest} to {largest}"
    return f"The tokenizer and the coder, {span}, do not count against the budget."


def _embed_table(named: NamedTable) -> dict[str, Any]:
    """A table for the template: its text, and its files as base64 by suffix."""
    links = {}
    for suffix, text in named.table.files().items():
        links[suffix] = to_base64(text.encode())
    return {"name": named.name, "title": named.title, "table": named.table, "links": links}


def _status_counts(runs: Sequence[Run]) -> dict[str, int]:
    """The number of runs of each status."""
    counts = dict.fromkeys(STATUSES, 0)
    for run in runs:
        counts[run.status] += 1
    return counts


def _skipped_images(runs: Sequence[Run]) -> Mapping[str, int]:
    """The number of images that runs left out as unreadable, by dataset."""
    skipped = {}
    for run in runs:
        images = int(run.get("skipped_images", 0))
        if images:
            skipped[str(run.get("dataset"))] = images
    return skipped
