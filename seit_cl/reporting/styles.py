"""Colours, markers and dashes of lines.

A kind of format (tokens, jpeg, …) has one colour in all figures; its shades are options and
learners. Markers and dashes tell lines apart without colour.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from matplotlib.colors import to_hex, to_rgb

from seit_cl.reporting.grouping import (
    Series,
    budget_of,
    format_kind,
    in_order,
    series_of,
    sorted_series,
    with_memory,
    without_sweep_trials,
)
from seit_cl.reporting.presets import preset
from seit_cl.results.run_files import Run

# Okabe and Ito, 2008; neighbours differ in lightness too, and yellow, faint on white, is left out
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
SHADES = (
    0.0,
    -0.4,
    0.4,
    -0.65,
    0.6,
)  # of the series of a kind: towards white, or black where negative
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<")
DASHES: tuple[Any, ...] = ("-", (0, (6, 1.5)), (0, (1.5, 1)), (0, (6, 1.5, 1.5, 1.5)))
BOUND_DASHES: tuple[Any, ...] = (
    (0, (5, 3)),
    (0, (1, 2)),
    (0, (7, 2, 1, 2)),
    (0, (3, 1, 1, 1, 1, 1)),
)
BOUND_COLOURS = ("#222222", "#999999", "#5c5c5c", "#bdbdbd")


class Style(NamedTuple):
    """Colour, marker and dashes of a line, named as matplotlib names them."""

    color: str
    marker: str
    linestyle: Any


def format_colours(runs: Sequence[Run]) -> dict[str, str]:
    """The colour of each kind of format among all runs of a report."""
    kinds = {Series(format_kind(series_of(run)), "") for run in runs if budget_of(run) > 0}
    colours = {}
    for i, kind in enumerate(in_order(kinds)):
        colours[kind.format] = COLOURS[i % len(COLOURS)]
    return colours


def run_styles(runs: Sequence[Run]) -> dict[Series, Style]:
    """A style for each series of all runs of a report: first tokens, last trials of sweeps."""
    settled = sorted_series(without_sweep_trials(with_memory(runs)))
    others = {series_of(run) for run in runs if budget_of(run) > 0} - set(settled)
    return series_styles([*settled, *in_order(others)], runs)


def series_styles(series: Sequence[Series], runs: Sequence[Run]) -> dict[Series, Style]:
    """A style for each of some series.

    Args:
        series: in the order in which they get markers, dashes and shades; their formats may lack
            options.
        runs: all runs of the report, which decide the colours.
    """
    colours = format_colours(runs)
    shades_used = dict.fromkeys(colours, 0)
    styles: dict[Series, Style] = {}
    for i, each in enumerate(series):
        kind = format_kind(each)
        shade = SHADES[shades_used[kind] % len(SHADES)]
        shades_used[kind] += 1
        marker = MARKERS[i % len(MARKERS)]
        styles[each] = Style(shaded(colours[kind], shade), marker, DASHES[i % len(DASHES)])
    return styles


def shaded(colour: str, amount: float) -> str:
    """A colour mixed with white by `amount`, or with black by -amount."""
    end = 1.0 if amount > 0 else 0.0
    weight = abs(amount)
    red, green, blue = ((1 - weight) * part + weight * end for part in to_rgb(colour))
    return to_hex((red, green, blue))


def bound_styles(bounds: Collection[Series]) -> dict[Series, dict[str, Any]]:
    """Properties of the lines of bounds: dashes are strategies, shades of grey learners."""
    strategies = sorted({bound.format for bound in bounds})
    learners = sorted({bound.learner for bound in bounds})
    styles = {}
    for bound in bounds:
        cycle, dash = divmod(strategies.index(bound.format), len(BOUND_DASHES))
        grey = (learners.index(bound.learner) + 2 * cycle) % len(BOUND_COLOURS)
        styles[bound] = {
            "color": BOUND_COLOURS[grey],
            "linestyle": BOUND_DASHES[dash],
            "linewidth": 0.85 * preset().line,
        }
    return styles
