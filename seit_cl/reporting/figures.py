"""Making every report and saving it: figures as PNG, SVG and, for papers and slides, PDF; tables as CSV, Markdown and LaTeX."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from seit_cl.core import plugins
from seit_cl.core.files import write_atomic
from seit_cl.reporting.cost import Prices
from seit_cl.reporting.presets import PRESETS, use_preset
from seit_cl.reporting.tables import Table
from seit_cl.results.run_files import Run

KINDS = ("png", "svg", "pdf")


@dataclass
class Made:
    """What a page shows: figures (name, title, caption, and the files "png" and "svg"), tables by name, each with its title,
    and a line for each that failed."""

    figures: list[dict[str, Any]] = field(default_factory=list)
    tables: dict[str, tuple[str, Table]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)


def make_reports(
    runs: list[Run], out: Path, style: str = "web", prices: Prices | None = None
) -> Made:
    """Makes and saves every report in out/figures and out/tables; one that fails is named and does not stop the rest.

    Args:
        runs: to report.
        out: the folder.
        style: a name in PRESETS.
        prices: for the reports that need them; none: these are left out.
    """
    made = Made()
    for name in sorted(plugins.names("report")):
        report = plugins.load("report", name)
        files: dict[str, bytes] = {}
        try:
            if prices is not None or not report.priced:
                files = _make(report, (runs, prices) if report.priced else (runs,), style, made)
        except Exception as error:  # a plugin may raise anything
            made.failures.append(f"{name}: {type(error).__name__}: {error}")
        _save(out / "figures", report.name, files, KINDS)
        _save(out / "tables", report.name, files, ("csv", "md", "tex"))
    captions = [f"**{figure['name']}**: {figure['caption']}.\n" for figure in made.figures]
    write_atomic(out / "captions.md", "\n".join(captions))
    return made


def _make(report: Any, arguments: tuple[Any, ...], style: str, made: Made) -> dict[str, bytes]:
    """Suffix -> content of one report's files; {} where it has nothing to show."""
    with use_preset(style):
        result = report.make(*arguments)
        if isinstance(result, Table):
            made.tables[report.name] = report.title, result
            return {suffix: text.encode() for suffix, text in result.files().items()}
        if result is None:
            return {}
        files = render(result, style)
    shown = {"name": report.name, "title": report.title, "caption": str(result.get_label())}
    made.figures.append({**shown, "png": files["png"], "svg": files["svg"]})
    return files


def _save(folder: Path, name: str, files: dict[str, bytes], suffixes: Sequence[str]) -> None:
    """Writes the files of these suffixes and removes those of earlier reports."""
    folder.mkdir(exist_ok=True)
    for suffix in suffixes:
        path = folder / f"{name}.{suffix}"
        if suffix in files:
            write_atomic(path, files[suffix])
        else:
            path.unlink(missing_ok=True)


def render(figure: Figure, style: str) -> dict[str, bytes]:
    """The figure as files by suffix; the same bytes for the same runs. To be called where the style is set (`looking`)."""
    files = {}
    for kind in PRESETS[style].suffixes:
        buffer = io.BytesIO()
        metadata: dict[str, Any] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(
            kind, {}
        )
        figure.savefig(
            buffer, format=kind, dpi=PRESETS[style].dpi, facecolor="white", metadata=metadata
        )
        figure.set_layout_engine("none")  # the first file has settled the layout
        files[kind] = buffer.getvalue()
    return files
