"""Which runs belong together, what they are called, and their means over seeds.

Vocabulary: a *setting* is what one figure row shows (dataset, scenario, strategy); a *series* is one line in it
(format, learner); runs of one setting, series and budget differ by seed and are averaged. A run with memory_bytes 0 is
a *bound*: joint training, naive fine-tuning, or a strategy without memory.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from seit_cl.results.metrics import accuracy_seen
from seit_cl.results.run_files import Run

MB = 1_000_000
CHECKED = 3  # seeds from which on one seed beside them is only a try


class Setting(NamedTuple):
    """One row of panels."""

    dataset: str
    scenario: str
    strategy: str


class Series(NamedTuple):
    """One line of a panel."""

    format: str
    learner: str
    variant: str = ""


def budget(run: Run) -> int:
    """The memory budget of the run in bytes."""
    return int(run.get("memory_bytes", 0))


def setting(run: Run) -> Setting:
    """The row of panels that the run belongs to."""
    return Setting(*(str(run.get(name, "")) for name in Setting._fields))


def series(run: Run) -> Series:
    """The line that the run belongs to."""
    return Series(str(run.get("format", "")), str(run.get("learner", "")), run.variant)


def finished(runs: Sequence[Run]) -> list[Run]:
    """The runs whose numbers may be shown."""
    return [run for run in runs if run.status == "finished"]


def with_memory(runs: Sequence[Run]) -> list[Run]:
    """The finished runs that replay from a memory."""
    return [run for run in finished(runs) if budget(run) > 0]


def binds(run: Run) -> bool:
    """Whether the budget turned samples away; guessed for results of before it was noted: less than two records, or 2 % of the
    budget, is free."""
    noted = run.get("memory_full")
    if noted is not None:
        return bool(noted)
    free = budget(run) - float(run.get("used_bytes", 0))
    return free < max(2 * float(run.get("bytes_per_exemplar", 0)), 0.02 * budget(run))


def at_all_budgets(runs: Sequence[Run]) -> list[Run]:
    """The finished runs with a memory, and again at larger budgets of their setting those that did not fill theirs: with more
    bytes they would be the same runs, number for number."""
    done = with_memory(runs)
    sizes: dict[Setting, set[int]] = {}
    for run in done:
        sizes.setdefault(setting(run), set()).add(budget(run))
    held = {(setting(run), series(run), run.get("seed", 0), budget(run)): run for run in done}
    for run in done:
        for size in sizes[setting(run)] if not binds(run) else ():
            if size > budget(run):
                facts = {**run.metadata, "memory_bytes": size}
                held.setdefault(
                    (setting(run), series(run), run.get("seed", 0), size),
                    replace(run, metadata=facts),
                )
    return list(held.values())


def past_sweeps(runs: Sequence[Run]) -> list[Run]:
    """The runs without those of a sweep whose winner went on: alone of their series where others of the same kind of format,
    learner, setting and budget have CHECKED seeds or more."""
    seeds: dict[tuple[Setting, int, Series], dict[Series, int]] = {}

    def place(run: Run) -> tuple[Setting, int, Series]:
        own = series(run)
        return setting(run), budget(run), own._replace(format=own.format.partition(":")[0])

    for run in runs:
        groups = seeds.setdefault(place(run), {})
        groups[series(run)] = groups.get(series(run), 0) + 1

    def stays(run: Run) -> bool:
        groups = seeds[place(run)]
        return groups[series(run)] > 1 or max(groups.values()) < CHECKED

    return [run for run in runs if stays(run)]


def bounds(runs: Sequence[Run], row: Setting) -> dict[Series, list[Run]]:
    """Finished runs without memory on the row's dataset and scenario, keyed by (strategy, learner)."""
    groups: dict[Series, list[Run]] = {}
    for run in finished(runs):
        if budget(run) == 0 and setting(run)[:2] == row[:2]:
            key = series(run)._replace(format=setting(run).strategy)
            groups.setdefault(key, []).append(run)
    return dict(sorted(groups.items()))


def is_tokens(key: Series) -> bool:
    """Whether a series stores tokens."""
    return key.format.partition(":")[0] == "tokens"


def in_order(keys: Collection[Series]) -> list[Series]:
    """Tokens first, then by name, numbers in names by their value."""

    def rank(key: Series) -> tuple[Any, ...]:
        parts = re.split(r"(\d+)", " ".join(key))
        return not is_tokens(key), [
            (int(part), "") if i % 2 else (0, part) for i, part in enumerate(parts)
        ]

    return sorted(keys, key=rank)


def label(key: Series, runs: Sequence[Run], *more: str) -> str:
    """What the legend calls a series or bound: the learner is named where the folder has several; `more` ends the brackets."""
    learners = {run.metadata.get("learner") for run in runs if run.status == "finished"}
    parts = [f"{key.learner} learner"] if len(learners) > 1 else []
    parts += [part for part in (key.variant, *more) if part]
    return f"{key.format} ({', '.join(parts)})" if parts else key.format


def row_label(row: Setting, rows: Sequence[Setting]) -> str:
    """The parts of a setting that differ between rows; "" for a single row."""
    return ", ".join(part for i, part in enumerate(row) if len({r[i] for r in rows}) > 1)


def rows_of(runs: Sequence[Run]) -> list[Setting]:
    """The rows of panels for runs, in order."""
    return sorted({setting(run) for run in runs})


def note(rows: Sequence[Setting], tail: str) -> str:
    """The line under a title: what is the same in all rows of panels, then the tail."""
    same = [row0 for i, row0 in enumerate(rows[0]) if row0 and len({row[i] for row in rows}) == 1]
    return "; ".join(([", ".join(same)] if same else []) + [tail])


def seeds_note(runs: Sequence[Run], tried: Sequence[Run] = ()) -> str:
    """How many seeds are behind a point, in words, and that `tried` has runs that are not shown (`past_sweeps`)."""
    groups: dict[tuple[Any, ...], set[Any]] = {}
    for run in runs:
        groups.setdefault((setting(run), series(run), budget(run)), set()).add(run.get("seed", 0))
    counts = sorted({len(seeds) for seeds in groups.values()})
    if not counts or counts == [1]:
        return "one seed"
    span = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    rest = "" if len(tried) <= len(runs) else "; what was tried with one seed alone is left out"
    return f"mean and standard deviation over {span} seeds{rest}"


def all_at_once(run: Run) -> bool:
    """Whether the run learnt several experiences in one step, as joint training does."""
    steps = run.accuracy["after_experience"].unique()
    return len(steps) == 1 and int(steps[0]) > 0


def mean_std(values: Sequence[float]) -> tuple[float, float]:
    """Mean and sample standard deviation of the values that are not nan; (nan, nan) of none, std 0 of one."""
    array = np.array(values, dtype=float)
    array = array[~np.isnan(array)]
    if not array.size:
        return float("nan"), float("nan")
    return float(array.mean()), float(array.std(ddof=1)) if array.size > 1 else 0.0


def curve(runs: Sequence[Run]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Experiences learnt (n,), mean (n,) and standard deviation (n,) of accuracy on classes seen, percent."""
    seen = [100 * accuracy_seen(run.accuracy) for run in runs]
    length = max(len(s) for s in seen)
    columns = [[s[t] for s in seen if t < len(s)] for t in range(length)]
    stats = np.array([mean_std(column) for column in columns])
    tested = ~np.isnan(stats[:, 0])
    return np.arange(1, length + 1)[tested], stats[tested, 0], stats[tested, 1]


def megabytes(value: float) -> str:
    """Bytes as MB (1,000,000 bytes) with 3 significant digits."""
    return f"{value / MB:.3g} MB"


def digits(value: float, count: int) -> str:
    """A number with that many significant digits, never as a power of ten."""
    return f"{float(f'{value:.{count}g}'):,.15g}"
