"""Every report made and saved: figures as PNG, SVG and PDF, tables as CSV, Markdown and LaTeX."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from matplotlib.figure import Figure

from seit_cl.core import plugins
from seit_cl.core.files import make_folder, sweep, write_atomic
from seit_cl.reporting.base import ReportContext
from seit_cl.reporting.presets import preset, use_preset
from seit_cl.reporting.tables import Table, markdown_text
from seit_cl.results.run_files import Run

FIGURE_SUFFIXES = ("png", "svg", "pdf")
TABLE_SUFFIXES = ("csv", "md", "tex")
# matplotlib writes the time into these files unless it is set to None
NO_DATE: dict[str, dict[str, None]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}


@dataclass(frozen=True)
class FigureFiles:
    """A figure as files.

    Args:
        name: of the report.
        title: of the report.
        caption: title and note of the figure.
        files: contents by suffix, always with "png" and "svg".
    """

    name: str
    title: str
    caption: str
    files: Mapping[str, bytes]


@dataclass(frozen=True)
class NamedTable:
    """A table with the name and the title of its report."""

    name: str
    title: str
    table: Table


@dataclass
class MadeReports:
    """The figures and tables of a report, and a line for each that could not be made."""

    figures: list[FigureFiles] = field(default_factory=list)
    tables: list[NamedTable] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def make_reports(
    runs: Sequence[Run], out: Path, style: str = "web", context: ReportContext | None = None
) -> MadeReports:
    """Make every report and save it in out/figures or out/tables, with captions in out/captions.md.

    A report that raises an error is listed in `failures`; the others are made all the same. Files
    of an earlier report that has nothing to show any more are removed.

    Args:
        runs: all runs of the report.
        out: an existing folder.
        style: the name of a preset in PRESETS.
        context: prices of storage; None leaves out the reports of costs.
    """
    made = MadeReports()
    context = context or ReportContext()
    for folder in (out, out / "figures", out / "tables"):
        sweep(folder)
    for name in sorted(plugins.names("report")):
        files: Mapping[str, bytes] = {}
        try:
            with use_preset(style):
                files = _make_report(name, runs, context, made)
        except Exception as error:  # a plugin may raise anything
            made.failures.append(f"{name}: {type(error).__name__}: {error}")
        _save(out / "figures", name, files, FIGURE_SUFFIXES)
        _save(out / "tables", name, files, TABLE_SUFFIXES)
    captions = []
    for figure in made.figures:
        captions.append(f"**{figure.name}**: {markdown_text(figure.caption)}.\n")
    write_atomic(out / "captions.md", "\n".join(captions))
    return made


def _make_report(
    name: str, runs: Sequence[Run], context: ReportContext, made: MadeReports
) -> Mapping[str, bytes]:
    """Make one report and add it to `made`.

    Returns:
        the contents of its files by suffix; {} if it has nothing to show.
    """
    report = plugins.build("report", name, context)
    result = report.make(runs)
    if result is None:
        return {}
    if isinstance(result, Table):
        made.tables.append(NamedTable(name, report.title, result))
        return {suffix: text.encode() for suffix, text in result.files().items()}
    files = render(result)
    made.figures.append(FigureFiles(name, report.title, str(result.get_label()), files))
    return files


def render(figure: Figure) -> dict[str, bytes]:
    """Render a figure in every file format of the current preset, by suffix.

    The same runs give the same bytes.
    """
    sizes = preset()
    files = {}
    for suffix in sizes.suffixes:
        buffer = io.BytesIO()
        figure.savefig(
            buffer,
            format=suffix,
            dpi=sizes.dpi,
            facecolor="white",
            metadata=NO_DATE.get(suffix, {}),
        )
        figure.set_layout_engine("none")  # the layout of the first file serves the others too
        files[suffix] = buffer.getvalue()
    return files


def _save(folder: Path, name: str, files: Mapping[str, bytes], suffixes: Sequence[str]) -> None:
    """Write the files with these suffixes and remove those of an earlier report."""
    make_folder(folder)
    for suffix in suffixes:
        path = folder / f"{name}.{suffix}"
        if suffix in files:
            write_atomic(path, files[suffix], sync=False)
        else:
            path.unlink(missing_ok=True)
