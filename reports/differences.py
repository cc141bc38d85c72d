"""The table of paired differences: final accuracy of tokens minus that of every other format."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import pandas as pd

from seit_cl.reporting.base import Report
from seit_cl.reporting.best import best_runs
from seit_cl.reporting.grouping import (
    MB,
    at_all_budgets,
    settings_of,
    sorted_series,
    split_tokens,
    without_sweep_trials,
)
from seit_cl.reporting.labels import differing_fields, field_values, series_label
from seit_cl.reporting.pairs import differences, pairs_text
from seit_cl.reporting.tables import MISSING, Table
from seit_cl.results.intervals import FEWEST_PAIRS, PAIRED_METHOD
from seit_cl.results.run_files import Run

CAPTION = (
    "Final accuracy of tokens minus that of another format at the same budget and strategy, in "
    "points: mean over pairs of the same seed and class order ({pairs}). {method}; a dash for a "
    "single pair. Of a format tried with several options, the one that ends best at "
    "each budget, which favours it. Bold: {fewest} pairs or more, and the interval "
    "leaves out 0."
)
HEADINGS = ("tokens", "other", "memory, MB", "difference", "95 % interval", "pairs")


class Differences(Report):
    """A row per setting, series of tokens, other format and budget."""

    title = "Tokens minus other formats"

    def make(self, runs: Sequence[Run]) -> Table | None:
        """Make the table; None if no run with tokens has a pair with another format."""
        shown = best_runs(without_sweep_trials(at_all_budgets(runs)))
        token_series, others = split_tokens(sorted_series(shown))
        settings = settings_of(shown)
        fields = differing_fields(settings)
        headings = [*fields, *HEADINGS]
        difference_column = headings.index("difference")
        text: list[list[str]] = []
        numbers = []
        bold = set()
        compared = []
        for setting in settings:
            names = field_values(setting, fields)
            for tokens, other in product(token_series, others):
                labels = [series_label(tokens, runs), series_label(other, runs)]
                by_budget = differences(shown, setting, tokens, other)
                for budget, difference in by_budget.items():
                    compared.append(difference)
                    points = difference.points
                    half = difference.half
                    pairs = difference.pairs
                    low = points - half
                    high = points + half
                    interval = f"{low:+.1f} to {high:+.1f}" if pairs > 1 else MISSING
                    if difference.is_claim:
                        bold.add((len(text), difference_column))
                    cells = [f"{budget / MB:g}", f"{points:+.1f}", interval, str(pairs)]
                    text.append([*names, *labels, *cells])
                    numbers.append(
                        {
                            **setting._asdict(),
                            "tokens": labels[0],
                            "other": labels[1],
                            "memory_bytes": budget,
                            "difference": points / 100,
                            "low": low / 100,
                            "high": high / 100,
                            "pairs": pairs,
                        }
                    )
        if not text:
            return None
        text_columns = headings.index("memory, MB")
        pairs_of_all = pairs_text(compared)
        caption = CAPTION.format(pairs=pairs_of_all, method=PAIRED_METHOD, fewest=FEWEST_PAIRS)
        return Table(
            caption, headings, text, pd.DataFrame(numbers), text_columns, bold=frozenset(bold)
        )


REPORT = Differences
