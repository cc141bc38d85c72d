"""Build a report: summary.csv, figures, tables and report.html, from result files alone."""

from __future__ import annotations

from pathlib import Path

from seit_cl.core.errors import UserError
from seit_cl.core.files import write_atomic
from seit_cl.reporting.base import ReportContext
from seit_cl.reporting.figures import make_reports
from seit_cl.reporting.loading import Gathered, gather, write_summary
from seit_cl.reporting.page import render_page

OURS = b"<title>seit_cl"  # in the head of a page
HEAD_BYTES = 4096


def build_report(out: Path) -> Path:
    """Write summary.csv, figures/, captions.md, tables/ and report.html into out.

    Returns:
        The path of report.html.

    Raises:
        UserError: out is no folder, holds no run, or is a run's own folder.
    """
    return write_report(gather([out]), out)


def _refuse_foreign(page: Path) -> None:
    """Refuse to replace a page that is no report of seit_cl.

    Raises:
        UserError: naming it.
    """
    if page.is_file() and OURS not in page.read_bytes()[:HEAD_BYTES]:
        raise UserError(
            f"{page}: is no report of seit_cl, and is not replaced; move it, or give another --out"
        )


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

    Raises:
        UserError: out has a report.html of another program.
    """
    page = out / "report.html"
    _refuse_foreign(page)
    out.mkdir(parents=True, exist_ok=True)
    summary = write_summary(gathered, out)
    made = make_reports(gathered.runs, out, style, context)
    name = out.resolve().name
    write_atomic(page, render_page(name, gathered.runs, summary, made, gathered.notes))
    return page
