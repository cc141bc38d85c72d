"""Final accuracy against every byte that replay needs: the memory's file and, where it is used, the tokenizer.

The literature counts what is not an exemplar both ways (MEMO, Zhou et al., ICLR 2023, counts models; REMIND, Hayes et al.,
ECCV 2020, leaves its codebook out), so both are drawn: `accuracy_against_memory` leaves it out. The learner itself is the
same throughout and left out here too.
"""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from seit_cl.reports import base
from seit_cl.reports.best_against_memory import best, kind
from seit_cl.results import Run

TITLE = "Accuracy against all bytes: memory and tokenizer"


def make(runs: list[Run]) -> Figure | None:
    """One panel per setting; None where no run with a memory needed a codec, so that nothing would differ."""
    shown = base.past_sweeps(base.with_memory(runs))
    if not any(int(run.fact("codec_bytes", 0)) for run in shown):
        return None
    rows = base.rows_of(shown)
    note = base.note(rows, base.seeds_note(shown, base.with_memory(runs)))
    figure, axes = base.setting_panels(TITLE, note, len(rows), (5.4, 3.2))
    for ax, row in zip(axes, rows, strict=True):
        _lines(ax, [run for run in shown if base.setting(run) == row], runs)
        base.bytes_axis(ax, "memory used and tokenizer (MB, log scale)")
        ax.set_ylabel("final accuracy (%)")
        ax.set_title(base.row_label(row, rows), fontsize="small")
    axes[0].set_ylim(bottom=0)
    return base.finish(figure, axes)


def all_bytes(run: Run) -> float:
    """Bytes of the memory's file as it is used, of the tokenizer where the run needs it, and of what the strategy keeps."""
    return sum(float(run.fact(name, 0)) for name in ("used_bytes", "codec_bytes", "strategy_bytes"))


def _lines(ax: Axes, group: list[Run], runs: list[Run]) -> None:
    """A line per kind of format and learner, at each budget of the option that ends best: means over seeds, of bytes and of
    accuracy; the standard deviation as error bars."""
    kinds = base.in_order({kind(base.series(run)) for run in base.with_memory(runs)})
    for key, style in base.styles_of(kinds, runs).items():
        mine = [run for run in group if kind(base.series(run)) == key]
        tried = {base.series(run) for run in mine}
        points = []
        for size in sorted({base.budget(run) for run in mine}):
            here = [run for run in mine if base.budget(run) == size]
            options, mean, std = best(here)
            won = [run for run in here if base.series(run).format.partition(":")[2] == options]
            points.append((base.mean_std([all_bytes(run) / base.MB for run in won])[0], mean, std))
        if points:
            x, means, stds = zip(*points, strict=True)
            name = base.label(next(iter(tried)), runs) if len(tried) == 1 else base.label(key, runs, "best option")
            ax.errorbar(x, means, yerr=stds, label=name, capsize=0.6 * base.look().marker, **style._asdict())


REPORT = base.Report("accuracy_against_all_bytes", TITLE, make)
