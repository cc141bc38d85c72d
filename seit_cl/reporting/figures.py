"""Drawing every report's figure into files."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from seit_cl import plugins
from seit_cl.results import Run, write_atomic


def draw_figures(runs: list[Run], folder: Path) -> tuple[list[dict[str, str]], list[str]]:
    """Draws and saves every report's figure; one that fails is named and does not stop the rest."""
    folder.mkdir(exist_ok=True)
    shown, failures = [], []
    for name in sorted(plugins.names("report")):
        report = plugins.load("report", name)
        try:
            figure = report.make(runs)
            saved = None if figure is None else (_render(figure, "png"), _render(figure, "svg"))
        except Exception as error:  # a plugin may raise anything
            failures.append(f"{name}: {type(error).__name__}: {error}")
            saved = None
        for suffix, data in zip(("png", "svg"), saved or (None, None), strict=True):
            path = folder / f"{report.name}.{suffix}"
            if data is None:
                path.unlink(missing_ok=True)
            else:
                write_atomic(path, data)
        if saved:
            shown.append({"name": report.name, "title": report.title, "svg": base64.b64encode(saved[1]).decode()})
    return shown, failures


def _render(figure: Figure, kind: str) -> bytes:
    """The figure as a PNG or SVG file; the same bytes for the same runs."""
    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "seit_cl"}):
        metadata: dict[str, Any] = {"Date": None} if kind == "svg" else {}
        figure.savefig(buffer, format=kind, dpi=160, facecolor="white", metadata=metadata)
    return buffer.getvalue()
