"""Labels of series and settings, notes under titles, and numbers as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from seit_cl.core.numbers import significant
from seit_cl.reporting.grouping import (
    MB,
    Series,
    Setting,
    budget_of,
    finished,
    series_of,
    setting_of,
    with_memory,
)
from seit_cl.results.replicates import ONE_SEED, Replicate, replicate_of, replication_text
from seit_cl.results.run_files import Run

T = TypeVar("T")


def series_label(series: Series, runs: Sequence[Run], *details: str) -> str:
    """The name of a series or bound in legends and tables.

    Args:
        series: a series, or a bound (`grouping.bound_series`).
        runs: all runs; the learner is named where they have several.
        details: added in brackets after learner and variant; empty ones are left out.
    """
    learners = {run.metadata.get("learner") for run in finished(runs)}
    learner = f"{series.learner} learner" if len(learners) > 1 else ""
    brackets = join_parts(learner, series.variant, *details)
    return f"{series.format} ({brackets})" if brackets else series.format


def setting_label(setting: Setting, settings: Sequence[Setting]) -> str:
    """The parts of a setting in which several settings differ; "" for a single setting."""
    return ", ".join(field_values(setting, differing_fields(settings)))


def differing_fields(settings: Sequence[Setting]) -> list[str]:
    """The names of the fields of `Setting` in which settings differ."""
    fields = []
    for name, values in zip(Setting._fields, zip(*settings, strict=True), strict=False):
        if len(set(values)) > 1:
            fields.append(name)
    return fields


def field_values(setting: Setting, fields: Sequence[str]) -> list[str]:
    """The values of some fields of a setting."""
    return [getattr(setting, name) for name in fields]


def join_parts(*parts: str) -> str:
    """The parts that are not empty, separated by commas."""
    return ", ".join(part for part in parts if part)


def figure_note(settings: Sequence[Setting], tail: str) -> str:
    """The line under a title: what all settings have in common, then the tail."""
    differing = differing_fields(settings)
    same = [name for name in Setting._fields if name not in differing]
    common = join_parts(*field_values(settings[0], same))
    return f"{common}; {tail}" if common else tail


def first_panels(panels: Sequence[T], most: int, table: str = "") -> tuple[list[T], str]:
    """The panels that a figure has room for, in their order, and what its note says of the others.

    Args:
        panels: what each panel, or each row of panels, is of.
        most: of them that are drawn.
        table: report that has the numbers of all, if there is one.

    Returns:
        the first ones; words that begin with a semicolon, "" where none is left out.
    """
    if len(panels) <= most:
        return list(panels), ""
    others = f"tables/{table} has all" if table else "a report of fewer folders draws the others"
    return list(panels[:most]), f"; the first {most} of {len(panels)}: {others}"


FILL_TEXTS = {
    "after": "after each experience",
    "during": "during an experience, each sample after its first step",
    "before": "before an experience's first step",
}


def fill_sentence(runs: Sequence[Run]) -> str:
    """When memories were offered samples (--fill); "" for runs without memories."""
    strategies: dict[str, set[str]] = {}
    for run in with_memory(runs):
        strategies.setdefault(str(run.get("fill")), set()).add(str(run.get("strategy")))
    texts = []
    for fill, names in sorted(strategies.items()):
        text = FILL_TEXTS.get(fill, fill)
        texts.append(f"{text} ({', '.join(sorted(names))})" if len(strategies) > 1 else text)
    return f"Memories are filled {'; '.join(texts)}." if texts else ""


def seeds_note(runs: Sequence[Run], candidates: Sequence[Run] = ()) -> str:
    """The replicates behind every point of a figure, as words.

    Args:
        runs: the runs shown.
        candidates: the runs of which `runs` were chosen by `grouping.without_sweep_trials`; the
            note says so where some are left out.
    """
    text = replicates_text(runs)
    if text == ONE_SEED:
        return text
    text = f"mean and standard deviation over {text}"
    if len(candidates) > len(runs):
        text += "; what was tried with one seed alone is left out"
    return text


def replicates_text(runs: Sequence[Run]) -> str:
    """Describe how the runs of one setting, series and budget vary (`replication_text`)."""
    points: dict[tuple[Setting, Series, int], set[Replicate]] = {}
    for run in runs:
        point = setting_of(run), series_of(run), budget_of(run)
        points.setdefault(point, set()).add(replicate_of(run))
    return replication_text(points.values())


def megabytes(value: float) -> str:
    """Bytes as MB (1,000,000 bytes) with 3 significant digits."""
    return f"{significant(value / MB, 3)} MB"
