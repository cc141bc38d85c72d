"""Final accuracy of tokens minus that of other formats at the same budget, strategy and seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from seit_cl.reporting.axes import (
    MOST_PANELS,
    draw_errorbars,
    finish_figure,
    memory_axis,
    setting_panels,
)
from seit_cl.reporting.base import Report
from seit_cl.reporting.best import best_runs
from seit_cl.reporting.grouping import (
    MB,
    Series,
    Setting,
    at_all_budgets,
    settings_of,
    sorted_series,
    split_tokens,
    without_sweep_trials,
)
from seit_cl.reporting.labels import (
    figure_note,
    first_panels,
    join_parts,
    series_label,
    setting_label,
)
from seit_cl.reporting.pairs import Difference, differences, pairs_text
from seit_cl.reporting.styles import Style, series_styles
from seit_cl.results.intervals import PAIRED_METHOD
from seit_cl.results.run_files import Run

NOTE = (
    "against the best option tried of each format; pairs of the same seed and class order: "
    "{pairs}; {method}, none for a single pair"
)


class PairedDifference(Report):
    """A panel per setting and series of tokens, with a line per other kind of format."""

    title = "Tokens minus other formats: final accuracy at equal bytes"

    def make(self, runs: Sequence[Run]) -> Figure | None:
        """Draw the figure; None if no run with tokens has a pair with another format."""
        shown = best_runs(without_sweep_trials(at_all_budgets(runs)))
        series = sorted_series(shown)
        token_series, others = split_tokens(series)
        panels: list[tuple[Setting, Series]] = []
        for setting in settings_of(shown):
            for tokens in token_series:
                if any(differences(shown, setting, tokens, other) for other in others):
                    panels.append((setting, tokens))
        if not panels:
            return None
        panels, left_out = first_panels(panels, MOST_PANELS, "differences")
        settings = sorted({setting for setting, _ in panels})
        several_tokens = len({tokens for _, tokens in panels}) > 1
        styles = series_styles(series, runs)
        compared: list[Difference] = []
        for setting, tokens in panels:
            for other in others:
                compared += differences(shown, setting, tokens, other).values()
        tail = NOTE.format(pairs=pairs_text(compared), method=PAIRED_METHOD) + left_out
        note = figure_note(settings, tail)
        figure, axes = setting_panels(self.title, note, len(panels), (5.4, 3.2))
        for ax, (setting, tokens) in zip(axes, panels, strict=True):
            for other in others:
                by_budget = differences(shown, setting, tokens, other)
                if by_budget:
                    label = series_label(other, runs, _number_of_pairs(by_budget))
                    _draw_line(ax, by_budget, label, styles[other])
            memory_axis(ax, shown)
            ax.axhline(0, color="#222222", linewidth=1)
            ax.set_ylabel("difference (points)")
            name = series_label(tokens, runs) if several_tokens else ""
            ax.set_title(join_parts(setting_label(setting, settings), name), fontsize="small")
        return finish_figure(figure, axes)


def _number_of_pairs(by_budget: Mapping[int, Difference]) -> str:
    """The numbers of pairs behind the points of a line, such as "2–5 pairs"."""
    counts = [difference.pairs for difference in by_budget.values()]
    fewest = min(counts)
    most = max(counts)
    number = str(most) if fewest == most else f"{fewest}–{most}"
    return f"{number} pairs" if most > 1 else f"{number} pair"


def _draw_line(ax: Axes, by_budget: Mapping[int, Difference], label: str, style: Style) -> None:
    """Draw the differences to one other format, with their 95 % intervals."""
    budgets = [budget / MB for budget in by_budget]
    points = [difference.points for difference in by_budget.values()]
    halves = [difference.half for difference in by_budget.values()]
    draw_errorbars(ax, budgets, points, halves, label, style)


REPORT = PairedDifference
