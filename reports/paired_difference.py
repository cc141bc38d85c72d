"""How much higher tokens end than each other format at the same budget, strategy and seed."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from seit_cl.reporting import base
from seit_cl.reports.best_against_memory import winners
from seit_cl.results.metrics import final_accuracy, mean_interval
from seit_cl.results.run_files import Run

TITLE = "Tokens minus other formats: final accuracy at equal bytes"
NOTE = (
    "against the best option tried of each format; pairs of the same seed; bars: 95 % intervals by Student's t over seeds, none "
    "for a single pair"
)


def make(runs: list[Run]) -> Figure | None:
    """A panel per setting and kind of tokens, a line per other kind of format and learner, at each budget of the option that
    ends best; None where there is no pair."""
    shown = winners(base.past_sweeps(base.at_all_budgets(runs)))
    keys = base.in_order({base.series(run) for run in shown})
    panels = [
        (row, key)
        for row in base.rows_of(shown)
        for key in keys
        if base.is_tokens(key)
        if any(differences(shown, row, key, other) for other in keys if not base.is_tokens(other))
    ]
    if not panels:
        return None
    rows = sorted({row for row, _ in panels})
    figure, axes = base.setting_panels(TITLE, base.note(rows, NOTE), len(panels), (5.4, 3.2))
    for ax, (row, key) in zip(axes, panels, strict=True):
        _lines(ax, shown, row, key, runs)
        base.memory_axis(ax, [base.budget(run) for run in shown])
        ax.axhline(0, color="#222222", linewidth=1)
        ax.set_ylabel("difference (points)")
        kinds = {kind for _, kind in panels}
        parts = base.row_label(row, rows), base.label(key, runs) if len(kinds) > 1 else ""
        ax.set_title(", ".join(filter(None, parts)), fontsize="small")
    return base.finish(figure, axes)


def differences(
    runs: Sequence[Run], row: base.Setting, key: base.Series, other: base.Series
) -> dict[int, tuple[float, float, int]]:
    """Mean of final accuracy of one series minus another, points, half its 95 % interval, and pairs, by budget in bytes."""
    ends: dict[base.Series, dict[tuple[int, int], float]] = {key: {}, other: {}}
    for run in runs:
        if base.setting(run) == row and base.series(run) in ends:
            seed = int(run.get("seed", 0))
            ends[base.series(run)][base.budget(run), seed] = 100 * final_accuracy(run.accuracy)
    pairs: dict[int, list[float]] = {}
    for where in sorted(ends[key].keys() & ends[other].keys()):
        pairs.setdefault(where[0], []).append(ends[key][where] - ends[other][where])
    return {size: (*mean_interval(values), len(values)) for size, values in pairs.items()}


def _lines(
    ax: Axes, shown: list[Run], row: base.Setting, key: base.Series, runs: list[Run]
) -> None:
    """A line per other series, labelled with the numbers of pairs behind its points."""
    for other, style in base.styles_of(
        base.in_order({base.series(run) for run in shown}), runs
    ).items():
        found = {} if base.is_tokens(other) else differences(shown, row, key, other)
        if found:
            means = [mean for mean, _, _ in found.values()]
            bars = [0.0 if math.isnan(half) else half for _, half, _ in found.values()]
            counts = sorted({count for _, _, count in found.values()})
            pairs = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]}–{counts[-1]}"
            name = base.label(other, runs, f"{pairs} pair{'s' if counts[-1] > 1 else ''}")
            sizes = [size / base.MB for size in found]
            ax.errorbar(
                sizes,
                means,
                yerr=bars,
                label=name,
                capsize=0.6 * base.look().marker,
                **style._asdict(),
            )


REPORT = base.Report("paired_difference", TITLE, make)
