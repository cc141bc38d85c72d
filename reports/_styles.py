"""How lines are drawn: colours, markers and dashes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from seit_cl.reports._groups import Series, budget, in_order, past_sweeps, series, with_memory
from seit_cl.results import Run

# Okabe and Ito 2008, ordered so that neighbours differ in lightness too; yellow, faint on white, is left out.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<")
LINES: tuple[Any, ...] = ("-", (0, (6, 1.5)), (0, (1.5, 1)), (0, (6, 1.5, 1.5, 1.5)))
BOUND_LINES: tuple[Any, ...] = ((0, (5, 3)), (0, (1, 2)), (0, (7, 2, 1, 2)), (0, (3, 1, 1, 1, 1, 1)))
BOUND_COLOURS = ("#222222", "#999999")


class Style(NamedTuple):
    """How a line is drawn; told apart by colour, by marker, and in grey by dashes."""

    color: str
    marker: str
    linestyle: Any


def styles(runs: Sequence[Run]) -> dict[Series, Style]:
    """A style for every series of the folder: from all runs, so that it is the same in every figure; tokens have the first,
    what was only tried the last."""
    kept = {series(run) for run in past_sweeps(with_memory(runs))}
    keys = in_order(kept) + in_order({series(run) for run in runs if budget(run) > 0} - kept)
    return dict(zip(keys, style_cycle(len(keys)), strict=True))


def style_cycle(count: int) -> list[Style]:
    """As many styles, in the order in which they are given out."""
    return [Style(COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)], LINES[i % len(LINES)]) for i in range(count)]


def bound_styles(groups: Collection[Series]) -> dict[Series, dict[str, Any]]:
    """Line properties of the bounds: thin and grey, dashes tell the strategy and the shade of grey the learner."""
    strategies, learners = sorted({key.format for key in groups}), sorted({key.learner for key in groups})
    return {
        key: {
            "color": BOUND_COLOURS[learners.index(key.learner) % len(BOUND_COLOURS)],
            "linestyle": BOUND_LINES[strategies.index(key.format) % len(BOUND_LINES)], "linewidth": 1.3,
        }
        for key in groups
    }  # fmt: skip
