"""Final accuracy against the bytes of the memory and, beside it, against the FLOPs of learning.

The FLOPs are those of training, the strategy, tokenizing, decoding, encoding and selection
(docs/compute.md). A line joins the runs with a memory that no other one beats: the Pareto front.
"""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from seit_cl.reporting.axes import (
    at_least_a_decade,
    finish_figure,
    from_zero,
    new_figure,
    plain_log,
)
from seit_cl.reporting.base import Report
from seit_cl.reporting.grouping import MB, finished, without_sweep_trials
from seit_cl.reporting.labels import figure_note, join_parts, seeds_note, series_label
from seit_cl.reporting.pareto import Point, left_out_note, pareto_front, points_of, with_flops
from seit_cl.reporting.presets import preset
from seit_cl.reporting.styles import BOUND_COLOURS, MARKERS, format_colours
from seit_cl.results.run_files import Run

TERA = 1e12
X_LABELS = ("memory's file (MB, log scale)", "learning (TFLOP, log scale)")


class AccuracyAgainstCompute(Report):
    """Two panels for each dataset and scenario; colours are formats, markers are strategies."""

    title = "Accuracy against bytes and against compute"
    source = "Prabhu et al., CVPR 2023 (BudgetCL), for comparisons at equal compute"

    def make(self, runs: Sequence[Run]) -> Figure | None:
        """Draw the figure; None if no run with a memory recorded its FLOPs."""
        candidates = without_sweep_trials(finished(runs))
        shown = with_flops(candidates)
        points = points_of(shown)
        if not any(point.budget for point in points):
            return None
        streams = sorted({point.setting[:2] for point in points if point.budget})
        settings = sorted({point.setting for point in points if point.budget})
        note = join_parts(seeds_note(shown), left_out_note(candidates))
        figure = new_figure(self.title, figure_note(settings, note), (len(streams), 2), (4.4, 3.2))
        axes = figure.subplots(len(streams), 2, squeeze=False, sharex="col", sharey=True)
        colours = format_colours(runs)
        strategies = sorted({point.setting.strategy for point in points})
        markers = {name: MARKERS[i % len(MARKERS)] for i, name in enumerate(strategies)}
        for (by_bytes, by_flops), stream in zip(axes, streams, strict=True):
            members = [point for point in points if point.setting[:2] == stream]
            stored = [point for point in members if point.budget]
            for point in members:
                colour = colours.get(point.series.format.partition(":")[0], BOUND_COLOURS[1])
                label = _label(point, runs, len(strategies) > 1)
                for ax, x in ((by_bytes, point.used_bytes / MB), (by_flops, _tera(point))):
                    if x > 0 and (point.budget or ax is by_flops):
                        _draw_point(ax, x, point, colour, markers[point.setting.strategy], label)
            _draw_front(by_bytes, [point.used_bytes / MB for point in stored], stored)
            _draw_front(by_flops, [_tera(point) for point in stored], stored)
            by_bytes.set_ylabel("final accuracy (%)")
            if len(streams) > 1:
                by_bytes.set_title(", ".join(stream), fontsize="small")
        from_zero(axes[0, 0])
        for ax, label in zip(axes[-1], X_LABELS, strict=True):
            plain_log(ax, "x")
            at_least_a_decade(ax)
            ax.set_xlabel(label)
        return finish_figure(figure, list(axes.flat))


def _tera(point: Point) -> float:
    """FLOPs of learning in units of 10^12."""
    return point.learning_flops / TERA


def _label(point: Point, runs: Sequence[Run], names_strategy: bool) -> str:
    """The name of a point's series, with its strategy where there are several."""
    label = series_label(point.series, runs)
    if names_strategy and point.budget:
        return f"{point.setting.strategy} · {label}"
    return label


def _draw_point(ax: Axes, x: float, point: Point, colour: str, marker: str, label: str) -> None:
    """Draw a point with the standard deviation of its accuracy."""
    ax.errorbar(
        [x],
        [point.accuracy],
        yerr=[point.std],
        color=colour,
        marker=marker,
        markersize=preset().marker,
        linestyle="none",
        capsize=0.5 * preset().marker,
        label=label,
    )


def _draw_front(ax: Axes, costs: Sequence[float], points: Sequence[Point]) -> None:
    """Draw the Pareto front of points as steps: the best accuracy at up to each cost."""
    front = pareto_front(costs, [point.accuracy for point in points])
    ax.plot(
        [costs[i] for i in front],
        [points[i].accuracy for i in front],
        drawstyle="steps-post",
        color=BOUND_COLOURS[0],
        linestyle=(0, (4, 2)),
        linewidth=1,
        zorder=0.5,
        label="Pareto front",
    )


REPORT = AccuracyAgainstCompute
