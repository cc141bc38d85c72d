"""Final accuracy against all bytes that replay needs, not those of the memory alone.

These are the bytes of the memory's file, of the tokenizer if the run needs it, of what the strategy
stores and, in a second panel, of the model. The literature counts what is not an exemplar both ways
(MEMO, Zhou et al., ICLR 2023, counts models; REMIND, Hayes et al., ECCV 2020, leaves its codebook
out); `accuracy_against_memory` counts the memory alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from seit_cl.reporting.axes import (
    MOST_ROWS,
    at_least_a_decade,
    bytes_axis,
    draw_errorbars,
    finish_figure,
    from_zero,
    new_figure,
)
from seit_cl.reporting.base import Report
from seit_cl.reporting.best import best_option, runs_with_options
from seit_cl.reporting.grouping import (
    MB,
    mean_std,
    of_budget,
    of_kind,
    of_setting,
    settings_of,
    sorted_budgets,
    sorted_kinds,
    sorted_series,
    with_memory,
    without_options,
    without_sweep_trials,
)
from seit_cl.reporting.labels import (
    figure_note,
    first_panels,
    join_parts,
    seeds_note,
    series_label,
    setting_label,
)
from seit_cl.reporting.styles import Style, series_styles
from seit_cl.results.run_files import Run

PANELS = (
    ("memory, tokenizer and strategy", False),
    ("memory, tokenizer, strategy and model", True),
)


class AccuracyAgainstAllBytes(Report):
    """Two panels per setting: without and with the bytes of the model."""

    title = "Accuracy against all bytes"
    source = "Zhou et al., ICLR 2023 (MEMO)"

    def make(self, runs: Sequence[Run]) -> Figure | None:
        """Draw the figure; None if no run needs a tokenizer, so that nothing would differ."""
        candidates = with_memory(runs)
        shown = without_sweep_trials(candidates)
        if not any(int(run.get("codec_bytes", 0)) for run in shown):
            return None
        styles = series_styles(sorted_kinds(candidates), runs)
        settings, left_out = first_panels(settings_of(shown), MOST_ROWS)
        note = figure_note(settings, seeds_note(shown, candidates) + left_out)
        figure = new_figure(self.title, note, (len(settings), 2), (4.2, 3.0))
        axes = figure.subplots(len(settings), 2, squeeze=False, sharex="col", sharey=True)
        for row, setting in zip(axes, settings, strict=True):
            group = of_setting(shown, setting)
            for ax, (name, with_model) in zip(row, PANELS, strict=True):
                for kind, style in styles.items():
                    members = of_kind(group, kind)
                    if members:
                        _draw_line(ax, members, runs, style, with_model)
                bytes_axis(ax, "all bytes counted (MB, log scale)")
                ax.set_title(join_parts(setting_label(setting, settings), name), fontsize="small")
            row[0].set_ylabel("final accuracy (%)")
        from_zero(axes[0, 0])
        for ax in axes[-1]:
            at_least_a_decade(ax)
        return finish_figure(figure, list(axes.flat))


def all_bytes(run: Run, with_model: bool = False) -> float:
    """The bytes used of the memory's file, the tokenizer's, the strategy's and the model's."""
    names = ["used_bytes", "codec_bytes", "strategy_bytes"]
    if with_model:
        names.append("model_bytes")
    return sum(float(run.get(name, 0)) for name in names)


def _draw_line(
    ax: Axes, members: list[Run], runs: Sequence[Run], style: Style, with_model: bool
) -> None:
    """Draw the best option of one kind of format at each budget, means over seeds.

    Args:
        ax: the panel.
        members: the runs of the kind in one setting.
        runs: all runs.
        style: of the line.
        with_model: whether the model's bytes count.
    """
    sizes = []
    means = []
    stds = []
    for budget in sorted_budgets(members):
        candidates = of_budget(members, budget)
        options, mean, std = best_option(candidates)
        best = runs_with_options(candidates, options)
        sizes.append(mean_std([all_bytes(run, with_model) / MB for run in best])[0])
        means.append(mean)
        stds.append(std)
    first, *others = sorted_series(members)
    if others:
        label = series_label(without_options(first), runs, "best option")
    else:
        label = series_label(first, runs)
    draw_errorbars(ax, sizes, means, stds, label, style)


REPORT = AccuracyAgainstAllBytes
