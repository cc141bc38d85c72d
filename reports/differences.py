"""The table of paired differences: tokens minus every other format, at the same budget, strategy, learner's options and seed."""

from __future__ import annotations

import pandas as pd

from seit_cl.reporting.base import Report
from seit_cl.reporting.best import best_runs
from seit_cl.reporting.grouping import (
    MB,
    Setting,
    at_all_budgets,
    in_order,
    is_tokens,
    series_of,
    settings_of,
    without_sweep_trials,
)
from seit_cl.reporting.labels import series_label
from seit_cl.reporting.pairs import differences
from seit_cl.reporting.tables import Table
from seit_cl.results.run_files import Run

TITLE = "Tokens minus other formats"
CAPTION = (
    "Final accuracy of tokens minus that of another format at the same budget and strategy, in points: mean over pairs of the "
    "same seed, with the 95 % interval by Student's t over seeds; a dash for a single pair. Of a format tried with several "
    "options, the one that ends best at each budget, which favours it. Bold: the interval leaves out 0."
)


def make(runs: list[Run]) -> Table | None:
    """A row per setting, budget, kind of tokens and other format; None where there is no pair."""
    shown = best_runs(without_sweep_trials(at_all_budgets(runs)))
    keys = in_order({series_of(run) for run in shown})
    rows = settings_of(shown)
    names = [i for i in range(3) if len({row[i] for row in rows}) > 1]
    text: list[list[str]] = []
    numbers, bold = [], set()
    for row in rows:
        for key, other in (
            (key, other)
            for key in keys
            for other in keys
            if is_tokens(key) and not is_tokens(other)
        ):
            for size, (mean, half, pairs) in differences(shown, row, key, other).items():
                sure = pairs > 1
                interval = f"{mean - half:+.1f} to {mean + half:+.1f}" if sure else "–"
                if sure and abs(mean) > half:
                    bold.add((len(text), len(names) + 3))
                text.append(
                    [
                        *(row[i] for i in names),
                        series_label(key, runs),
                        series_label(other, runs),
                        f"{size / MB:g}",
                        f"{mean:+.1f}",
                        interval,
                        str(pairs),
                    ]
                )
                numbers.append(
                    {
                        **row._asdict(),
                        "tokens": series_label(key, runs),
                        "other": series_label(other, runs),
                        "memory_bytes": size,
                        "difference": mean / 100,
                        "low": (mean - half) / 100,
                        "high": (mean + half) / 100,
                        "pairs": pairs,
                    }
                )
    if not text:
        return None
    columns = "tokens", "other", "memory, MB", "difference", "95 % interval", "pairs"
    headings = [*(Setting._fields[i] for i in names), *columns]
    return Table(CAPTION, headings, text, pd.DataFrame(numbers), len(names) + 2, frozenset(bold))


REPORT = Report("differences", TITLE, make)
