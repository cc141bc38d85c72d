"""Final accuracy against every byte that replay needs: the memory's file, the tokenizer where it is used, what the strategy
keeps, and in a second panel the model too.

The literature counts what is not an exemplar both ways (MEMO, Zhou et al., ICLR 2023, counts models; REMIND, Hayes et al.,
ECCV 2020, leaves its codebook out), so all are drawn: `accuracy_against_memory` leaves everything but the memory out.
"""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from seit_cl.reporting.axes import bytes_axis, finish_figure, new_figure
from seit_cl.reporting.base import Report
from seit_cl.reporting.best import best_option
from seit_cl.reporting.grouping import (
    MB,
    budget_of,
    in_order,
    mean_std,
    series_of,
    setting_of,
    settings_of,
    with_memory,
    without_options,
    without_sweep_trials,
)
from seit_cl.reporting.labels import figure_note, seeds_note, series_label, setting_label
from seit_cl.reporting.presets import preset
from seit_cl.reporting.styles import series_styles
from seit_cl.results.run_files import Run

TITLE = "Accuracy against all bytes"
PANELS = (
    ("memory, tokenizer and strategy", False),
    ("memory, tokenizer, strategy and model", True),
)


def make(runs: list[Run]) -> Figure | None:
    """Two panels per setting; None where no run with a memory needed a codec, so that nothing would differ."""
    shown = without_sweep_trials(with_memory(runs))
    if not any(int(run.get("codec_bytes", 0)) for run in shown):
        return None
    rows = settings_of(shown)
    note = figure_note(rows, seeds_note(shown, with_memory(runs)))
    figure = new_figure(TITLE, note, (len(rows), 2), (4.2, 3.0))
    axes = figure.subplots(len(rows), 2, squeeze=False, sharex="col", sharey=True)
    for i, row in enumerate(rows):
        group = [run for run in shown if setting_of(run) == row]
        for ax, (name, model) in zip(axes[i], PANELS, strict=True):
            _lines(ax, group, runs, model)
            bytes_axis(ax, "all of it (MB, log scale)")
            ax.set_title(
                ", ".join(filter(None, (setting_label(row, rows), name))), fontsize="small"
            )
        axes[i, 0].set_ylabel("final accuracy (%)")
    axes[0, 0].set_ylim(bottom=0)
    return finish_figure(figure, list(axes.flat))


def all_bytes(run: Run, model: bool = False) -> float:
    """Bytes of the memory's file as it is used, of the tokenizer where the run needs it, of what the strategy keeps, and of the
    model where `model` says so."""
    names = ("used_bytes", "codec_bytes", "strategy_bytes", *(("model_bytes",) if model else ()))
    return sum(float(run.get(name, 0)) for name in names)


def _lines(ax: Axes, group: list[Run], runs: list[Run], model: bool) -> None:
    """A line per kind of format and learner, at each budget of the option that ends best: means over seeds, of bytes and of
    accuracy; the standard deviation as error bars."""
    kinds = in_order({without_options(series_of(run)) for run in with_memory(runs)})
    for key, style in series_styles(kinds, runs).items():
        mine = [run for run in group if without_options(series_of(run)) == key]
        tried = {series_of(run) for run in mine}
        points = []
        for size in sorted({budget_of(run) for run in mine}):
            here = [run for run in mine if budget_of(run) == size]
            options, mean, std = best_option(here)
            won = [run for run in here if series_of(run).format.partition(":")[2] == options]
            points.append((mean_std([all_bytes(run, model) / MB for run in won])[0], mean, std))
        if points:
            x, means, stds = zip(*points, strict=True)
            name = (
                series_label(next(iter(tried)), runs)
                if len(tried) == 1
                else series_label(key, runs, "best option")
            )
            ax.errorbar(
                x, means, yerr=stds, label=name, capsize=0.6 * preset().marker, **style._asdict()
            )


REPORT = Report("accuracy_against_all_bytes", TITLE, make)
