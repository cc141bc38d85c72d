"""Build a report: summary.csv, figures, tables and report.html, from result files alone."""

from __future__ import annotations

from pathlib import Path

from seit_cl.core.files import write_atomic
from seit_cl.reporting.base import ReportContext
from seit_cl.reporting.figures import make_reports
from seit_cl.reporting.loading import Gathered, gather, write_summary
from seit_cl.reporting.page import render_page


def build_report(out: Path) -> Path:
    """Write summary.csv, figures/, captions.md, tables/ and report.html into out.

    Returns:
        The path of report.html.

    Raises:
        UserError: out is no folder, holds no run, or is a run's own folder.
    """
    return write_report(gather([out]), out)


def write_report(
    gathered: Gathered, out: Path, style: str = "web", context: ReportContext | None = None
) -> Path:
    """Write the report of gathered runs, in place of an earlier one.

    Args:
        gathered: runs, and notes about them.
        out: the folder; it is made if it does not exist.
        style: of the figures, a name in PRESETS.
        context: prices of storage; None leaves costs out.

    Returns:
        The path of report.html.
    """
    out.mkdir(parents=True, exist_ok=True)
    summary = write_summary(gathered, out)
    made = make_reports(gathered.runs, out, style, context)
    name = out.resolve().name
    page = out / "report.html"
    write_atomic(page, render_page(name, gathered.runs, summary, made, gathered.notes))
    return page
