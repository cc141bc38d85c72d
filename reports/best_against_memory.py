"""The best that each kind of format does at each budget: a sweep over qualities as one line.

At a budget, the option that wins is the one with the highest mean final accuracy among those tried with the most seeds.
Picking it by the accuracy that is shown favours the kinds with the most options tried, JPEG in most sweeps.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from seit_cl.reporting import base
from seit_cl.results.metrics import final_accuracy
from seit_cl.results.run_files import Run

TITLE = "Accuracy against memory, the best option of each format"


def make(runs: list[Run]) -> Figure | None:
    """A panel per setting, a line per kind of format and learner; None where no kind was tried with two options."""
    shown = base.at_all_budgets(runs)
    keys = {base.series(run) for run in shown}
    if len({kind(key) for key in keys}) == len(keys):
        return None
    rows = base.rows_of(shown)
    figure, axes = base.setting_panels(
        TITLE, base.note(rows, base.seeds_note(shown)), len(rows), (6.4, 3.6)
    )
    for ax, row in zip(axes, rows, strict=True):
        _lines(ax, [run for run in shown if base.setting(run) == row], runs)
        base.draw_bounds(ax, row, final_accuracy, runs)
        base.memory_axis(ax, [base.budget(run) for run in shown])
        ax.set_ylabel("final accuracy (%)")
        ax.set_title(base.row_label(row, rows), fontsize="small")
    axes[0].set_ylim(bottom=0)
    return base.finish(figure, axes)


def kind(key: base.Series) -> base.Series:
    """A series without its format's options."""
    return key._replace(format=key.format.partition(":")[0])


def best(runs: Sequence[Run]) -> tuple[str, float, float]:
    """Options, mean and standard deviation of final accuracy in percent, of the winner among runs of one kind and budget."""
    groups: dict[str, list[float]] = {}
    for run in runs:
        groups.setdefault(base.series(run).format.partition(":")[2], []).append(
            100 * final_accuracy(run.accuracy)
        )
    most = max(map(len, groups.values()))
    tried = {
        options: base.mean_std(values) for options, values in groups.items() if len(values) == most
    }
    winner = max(tried, key=lambda options: tried[options][0])
    return winner, *tried[winner]


def winners(runs: Sequence[Run]) -> list[Run]:
    """Of each kind of format but tokens, at each setting and budget the runs of the option that `best` picks, named after the
    kind alone where it was tried with several."""
    tried: dict[tuple[base.Setting, base.Series], set[base.Series]] = {}
    groups: dict[tuple[base.Setting, base.Series, int], list[Run]] = {}
    for run in runs:
        own = base.series(run)
        family = own if base.is_tokens(own) else kind(own)
        tried.setdefault((base.setting(run), family), set()).add(own)
        groups.setdefault((base.setting(run), family, base.budget(run)), []).append(run)
    kept = []
    for (row, family, _), members in groups.items():
        options = best(members)[0]
        mine = [run for run in members if base.series(run).format.partition(":")[2] == options]
        several = len(tried[row, family]) > 1
        kept += [
            replace(run, metadata={**run.metadata, "format": family.format}) if several else run
            for run in mine
        ]
    return kept


def choice(options: str, tried: Collection[str]) -> str:
    """Of some options only those that differ among the ones tried: "quality=25,size=64" is "quality=25" where all have that
    size."""
    parts = [set(other.split(",")) for other in tried]
    return ",".join(
        part for part in options.split(",") if not all(part in other for other in parts)
    )


def _lines(ax: Axes, group: list[Run], runs: list[Run]) -> None:
    """A line per kind; beside each point the options that won, where there was a choice."""
    kinds = base.in_order({kind(base.series(run)) for run in base.at_all_budgets(runs)})
    for key, style in base.styles_of(kinds, runs).items():
        mine = [run for run in group if kind(base.series(run)) == key]
        sizes = sorted({base.budget(run) for run in mine})
        winners = [best([run for run in mine if base.budget(run) == size]) for size in sizes]
        tried = {base.series(run).format.partition(":")[2] for run in mine}
        if not winners:
            continue
        x, mean, std = (
            [size / base.MB for size in sizes],
            [m for _, m, _ in winners],
            [s for _, _, s in winners],
        )
        ax.errorbar(
            x,
            mean,
            yerr=std,
            label=base.label(key, runs),
            capsize=0.6 * base.look().marker,
            **style._asdict(),
        )
        for at, (options, height, _) in zip(x, winners, strict=True):
            ax.annotate(
                choice(options, tried),
                (at, height),
                xytext=(0, -12),
                textcoords="offset points",
                ha="center",
                fontsize="x-small",
                color=style.color,
                bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.5},
            )


REPORT = base.Report("best_against_memory", TITLE, make)
