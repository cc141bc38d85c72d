"""The tables of a comparison, from its results alone: accuracy at equal bytes with intervals, the sweep, the bounds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from seit_cl.reporting.grouping import (
    MB,
    Series,
    at_all_budgets,
    budget_of,
    finished,
    in_order,
    is_tokens,
    series_of,
    setting_of,
    settings_of,
    trained_jointly,
    without_options,
    without_sweep_trials,
)
from seit_cl.reporting.loading import mark_variants
from seit_cl.reporting.markdown import page, table
from seit_cl.reporting.pairs import differences
from seit_cl.results.metrics import average_incremental_accuracy, final_accuracy, mean_interval
from seit_cl.results.run_files import Run, read_runs

SWEPT = 3  # options of one kind of format make a sweep


def answer(out: Path, typed: str) -> str:
    """The page of a folder of results, in Markdown; the machine it names is this one, which need not have made the runs."""
    runs = finished(mark_variants(read_runs(out)))
    stored = at_all_budgets(runs)
    sections: list[str] = []
    for row in settings_of(stored):
        mine = [run for run in stored if setting_of(run) == row]
        parts = equal_bytes(without_sweep_trials(mine)), "### Sweep, final %", sweep(mine)
        sections += ["## " + ", ".join(filter(None, row)), *parts]
    bounds = [run for run in runs if budget_of(run) == 0]
    return page(
        "Comparison at equal bytes",
        typed,
        torch.device("cpu"),
        [*sections, "## Bounds", bounds_table(bounds)],
    )


def equal_bytes(runs: Sequence[Run]) -> str:
    """A row for each budget, format and learner: what fits, accuracies with 95 % intervals over seeds, and how much higher tokens
    end with the same seeds.

    Args:
        runs: of one setting, all with a memory.
    """
    tokens = next(
        (key for key in in_order({series_of(run) for run in runs}) if is_tokens(key)),
        None,
    )
    lines = []
    for size in sorted({budget_of(run) for run in runs}):
        here = [run for run in runs if budget_of(run) == size]
        groups = {
            key: [run for run in here if series_of(run) == key]
            for key in in_order({series_of(r) for r in here})
        }
        for key, group in groups.items():
            apart = (
                differences(here, setting_of(here[0]), tokens, key)
                if tokens and key != tokens
                else {}
            )
            mean, half, pairs = apart.get(size, (0.0, 0.0, 0))
            stored = [_count(group, "exemplars"), _count(group, "bytes_per_exemplar")]
            higher = (
                f"{mean:+.1f} ± {half:.1f} ({pairs})"
                if pairs > 1
                else f"{mean:+.1f} (1)"
                if pairs
                else ""
            )
            what = [f"{size / MB:g}", key.format, key.learner, str(len(group))]
            lines.append([*what, *stored, *_accuracies(group), higher])
    head = [
        "memory, MB",
        "format",
        "learner",
        "seeds",
        "exemplars",
        "bytes each",
        "final %",
        "average %",
        "tokens end higher by",
    ]
    return table(head, lines)


def sweep(runs: Sequence[Run]) -> str:
    """Final accuracies of the first seed, a row for each option of the kinds that were tried with several, a column for each
    budget; the best of a kind and learner at a budget is bold, and the exemplars stand in brackets."""
    first = [run for run in runs if int(run.get("seed", 0)) == 0]
    keys = in_order({series_of(run) for run in first})
    swept = [
        key
        for key in keys
        if sum(without_options(other) == without_options(key) for other in keys) >= SWEPT
    ]
    sizes = sorted({budget_of(run) for run in first if series_of(run) in swept})
    found = {(series_of(run), budget_of(run)): run for run in first}
    best: dict[tuple[Series, int], float] = {}
    for (key, size), run in found.items():
        place = without_options(key), size
        best[place] = max(best.get(place, 0.0), final_accuracy(run.accuracy))
    lines = []
    for key in swept:
        cells = []
        for size in sizes:
            run_here = found.get((key, size))
            if run_here is None:
                cells.append("–")
                continue
            value = final_accuracy(run_here.accuracy)
            text = f"{100 * value:.1f}"
            text = f"**{text}**" if value == best[without_options(key), size] else text
            cells.append(f"{text} ({int(run_here.get('exemplars')):,})")
        lines.append([f"{key.format}, {key.learner} learner", *cells])
    return table(["format", *(f"{size / MB:g} MB" for size in sizes)], lines)


def bounds_table(runs: Sequence[Run]) -> str:
    """Runs without a memory."""
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        groups.setdefault((str(run.get("strategy")), str(run.get("learner"))), []).append(run)
    lines = [
        [*key, str(len(group)), *_accuracies(group), f"{int(group[0].get('steps')):,}"]
        for key, group in sorted(groups.items())
    ]
    return table(["strategy", "learner", "seeds", "final %", "average %", "steps"], lines)


def _accuracies(group: Sequence[Run]) -> list[str]:
    """Means over seeds of final and average accuracy in percent, with half their 95 % intervals where there are several seeds;
    a joint run, tested after its one step only, has no average."""
    cells = []
    for metric in (final_accuracy, average_incremental_accuracy):
        mean, half = mean_interval([100 * metric(run.accuracy) for run in group])
        cells.append(f"{mean:.1f} ± {half:.1f}" if len(group) > 1 else f"{mean:.1f}")
    return [cells[0], "–"] if all(trained_jointly(run) for run in group) else cells


def _count(group: Sequence[Run], name: str) -> str:
    """The mean of a fact."""
    return f"{sum(float(run.get(name, 0)) for run in group) / len(group):,.0f}"
