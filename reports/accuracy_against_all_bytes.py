"""Final accuracy against every byte that replay needs: the memory's file and, where it is used, the tokenizer.

The literature counts what is not an exemplar both ways (MEMO, Zhou et al., ICLR 2023, counts models; REMIND, Hayes et al.,
ECCV 2020, leaves its codebook out), so both are drawn: `accuracy_against_memory` leaves it out. The learner itself is the
same throughout and left out here too.
"""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from seit_cl.metrics import final_accuracy
from seit_cl.reports import base
from seit_cl.results import Run

TITLE = "Accuracy against all bytes: memory and tokenizer"


def make(runs: list[Run]) -> Figure | None:
    """One panel per setting; None where no run with a memory needed a codec, so that nothing would differ."""
    shown = base.past_sweeps(base.with_memory(runs))
    if not any(int(run.fact("codec_bytes", 0)) for run in shown):
        return None
    rows = base.rows_of(shown)
    figure = base.new_figure(TITLE, base.note(rows, base.seeds_note(shown, base.with_memory(runs))), (len(rows), 1), (5.4, 3.2))
    axes = figure.subplots(len(rows), 1, squeeze=False, sharex=True, sharey=True)[:, 0]
    for ax, row in zip(axes, rows, strict=True):
        _lines(ax, [run for run in shown if base.setting(run) == row], runs)
        base.bytes_axis(ax, "memory used and tokenizer (MB, log scale)")
        ax.set_ylabel("final accuracy (%)")
        ax.set_title(base.row_label(row, rows), fontsize=9)
    axes[0].set_ylim(bottom=0)
    return base.finish(figure, list(axes))


def all_bytes(run: Run) -> float:
    """Bytes of the memory's file as it is used, of the tokenizer where the run needs it, and of what the strategy keeps."""
    return sum(float(run.fact(name, 0)) for name in ("used_bytes", "codec_bytes", "strategy_bytes"))


def _lines(ax: Axes, group: list[Run], runs: list[Run]) -> None:
    """Means over seeds, of bytes and of accuracy, at each budget; the standard deviation as error bars."""
    for key, style in base.styles(base.finished(runs)).items():
        mine = [run for run in group if base.series(run) == key]
        points = []
        for size in sorted({base.budget(run) for run in mine}):
            here = [run for run in mine if base.budget(run) == size]
            bytes_mean, _ = base.mean_std([all_bytes(run) / base.MB for run in here])
            points.append((bytes_mean, *base.mean_std([100 * final_accuracy(run.accuracy) for run in here])))
        if points:
            x, mean, std = zip(*points, strict=True)
            ax.errorbar(x, mean, yerr=std, label=base.label(key, runs), capsize=3, markersize=5, **style._asdict())


REPORT = base.Report("accuracy_against_all_bytes", TITLE, make)
