"""Figures that show single runs: which run has which panel, and what its title is."""

from __future__ import annotations

from seit_cl.reports import base
from seit_cl.results import Run

COLUMNS = 5  # panels beside each other where there are many


def grid_of(runs: list[Run]) -> list[list[Run | None]]:
    """Rows of panels: setting and series with a column per budget, several side by side where there are many; then the
    runs without memory."""
    first: dict[tuple[base.Setting, base.Series, int], Run] = {}
    for run in sorted(runs, key=lambda r: (r.fact("seed", 0), r.run_id)):
        first.setdefault((base.setting(run), base.series(run), base.budget(run)), run)
    sizes = sorted({size for _, _, size in first if size})
    lines = sorted({(setting, series) for setting, series, size in first if size})
    beside = max(1, COLUMNS // max(len(sizes), 1)) if len(lines) > 3 else 1
    rows: list[list[Run | None]] = [
        [first.get((*line, size)) for line in lines[i : i + beside] for size in sizes] for i in range(0, len(lines), beside)
    ]
    free: list[Run | None] = [first[key] for key in sorted(first) if not key[2]]
    width = max(max(map(len, rows), default=0), 3)
    return rows + [free[i : i + width] for i in range(0, len(free), width)]


def title_of(run: Run, settings: list[base.Setting], runs: list[Run]) -> str:
    """Setting where there are several, series and budget; strategy for a run without memory."""
    setting, size = base.setting(run), base.budget(run)
    line = base.series(run) if size else base.series(run)._replace(format=setting.strategy)
    head = base.row_label(setting, settings) if size else ""
    name = base.label(line, runs).replace(" (", "\n(")
    return "\n".join(part for part in (head, name, base.megabytes(size) if size else "no memory") if part)
