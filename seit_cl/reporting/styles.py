"""Colours, markers and dashes of lines.

A colour is a kind of format (tokens, jpeg, …) in every figure; shades of it are options and learners. Markers and dashes tell
lines apart in grey.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from matplotlib.colors import to_hex, to_rgb

from seit_cl.reporting.grouping import (
    Series,
    budget,
    in_order,
    past_sweeps,
    series,
    with_memory,
)
from seit_cl.reporting.presets import look
from seit_cl.results.run_files import Run

# Okabe and Ito 2008, ordered so that neighbours differ in lightness too; yellow, faint on white, is left out.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
SHADES = (0.0, -0.4, 0.4, -0.65, 0.6)  # of a kind's lines, towards black or white
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<")
LINES: tuple[Any, ...] = ("-", (0, (6, 1.5)), (0, (1.5, 1)), (0, (6, 1.5, 1.5, 1.5)))
BOUND_LINES: tuple[Any, ...] = (
    (0, (5, 3)),
    (0, (1, 2)),
    (0, (7, 2, 1, 2)),
    (0, (3, 1, 1, 1, 1, 1)),
)
BOUND_COLOURS = ("#222222", "#999999", "#5c5c5c", "#bdbdbd")


class Style(NamedTuple):
    """How a line is drawn; told apart by colour, by marker, and in grey by dashes."""

    color: str
    marker: str
    linestyle: Any


def colours(runs: Sequence[Run]) -> dict[str, str]:
    """The colour of each kind of format in a folder: from all runs, so that it is the same in every figure."""
    kinds = in_order(
        {Series(series(run).format.partition(":")[0], "") for run in runs if budget(run) > 0}
    )
    return {key.format: COLOURS[i % len(COLOURS)] for i, key in enumerate(kinds)}


def styles(runs: Sequence[Run]) -> dict[Series, Style]:
    """A style for every series of the folder: from all runs, so that it is the same in every figure; tokens have the first,
    what was only tried the last."""
    kept = {series(run) for run in past_sweeps(with_memory(runs))}
    return styles_of(
        in_order(kept) + in_order({series(run) for run in runs if budget(run) > 0} - kept), runs
    )


def styles_of(keys: Sequence[Series], runs: Sequence[Run]) -> dict[Series, Style]:
    """Styles for series, or for kinds of them, in the colours that their kinds of format have among all runs."""
    found: dict[Series, Style] = {}
    known, seen = colours(runs), dict[str, int]()
    for i, key in enumerate(keys):
        kind = key.format.partition(":")[0]
        shade = SHADES[seen.get(kind, 0) % len(SHADES)]
        seen[kind] = seen.get(kind, 0) + 1
        found[key] = Style(
            shaded(known[kind], shade), MARKERS[i % len(MARKERS)], LINES[i % len(LINES)]
        )
    return found


def shaded(colour: str, amount: float) -> str:
    """A colour mixed with white by `amount`, or with black by -amount."""
    end = 1.0 if amount > 0 else 0.0
    red, green, blue = ((1 - abs(amount)) * part + abs(amount) * end for part in to_rgb(colour))
    return to_hex((red, green, blue))


def bound_styles(groups: Collection[Series]) -> dict[Series, dict[str, Any]]:
    """Line properties of the bounds: thin and grey, dashes tell the strategy and the shade of grey the learner."""
    strategies, learners = (
        sorted({key.format for key in groups}),
        sorted({key.learner for key in groups}),
    )
    found = {}
    for key in groups:
        shade, dash = divmod(strategies.index(key.format), len(BOUND_LINES))
        grey = BOUND_COLOURS[(learners.index(key.learner) + 2 * shade) % len(BOUND_COLOURS)]
        found[key] = {
            "color": grey,
            "linestyle": BOUND_LINES[dash],
            "linewidth": 0.85 * look().line,
        }
    return found
