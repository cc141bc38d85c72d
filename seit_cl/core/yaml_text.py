"""YAML from files of unknown origin, read by libyaml where it is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's is ten times as fast
TEXT_LOADER = getattr(yaml, "CBaseLoader", yaml.BaseLoader)  # every value stays text
DEEPEST = 100  # levels of lists and mappings
MOST_ALIASED = 100_000  # values that aliases stand for


@dataclass
class _Level:
    """A list or mapping that has been opened.

    Args:
        anchor: its name for aliases; None without.
        values: that it holds, with those of its aliases.
    """

    anchor: str | None
    values: int = 1


def read_yaml(text: str, loader: Any = LOADER) -> Any:
    """Read a document.

    Args:
        text: of one document.
        loader: LOADER or TEXT_LOADER.

    Raises:
        Exception: any, for a text that is no YAML; of a known place, ValueError with its line.
        ValueError: lists and mappings within one another that the loader's stack does not hold,
            which would end the process; aliases that stand for more values than memory holds, or
            for what they are in.
    """
    try:
        if _may_be_deep(text) or "*" in text:
            _check_structure(text, loader)
        return yaml.load(text, Loader=loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        if mark is None:
            raise
        words = error.problem or error.context or "not YAML"
        raise ValueError(f"line {mark.line + 1}, column {mark.column + 1}: {words}") from error


def _may_be_deep(text: str) -> bool:
    """Return False where brackets and columns are too few for deep nesting."""
    longest = max(map(len, text.splitlines()), default=0)
    return longest > DEEPEST or text.count("[") + text.count("{") > DEEPEST


def _check_structure(text: str, loader: Any) -> None:
    levels = [_Level(None)]
    sizes: dict[str | None, int] = {}  # values of what an anchor names
    aliased = 0
    for event in yaml.parse(text, Loader=loader):
        if isinstance(event, yaml.CollectionStartEvent):
            levels.append(_Level(event.anchor))
            sizes.pop(event.anchor, None)
        elif isinstance(event, yaml.CollectionEndEvent):
            level = levels.pop()
            levels[-1].values += level.values
            if level.anchor is not None:
                sizes[level.anchor] = level.values
        elif isinstance(event, yaml.AliasEvent):
            if any(level.anchor == event.anchor for level in levels):
                raise ValueError(f"*{event.anchor} stands for what it is in")
            stands_for = sizes.get(event.anchor, 1)
            levels[-1].values += stands_for
            aliased += stands_for
        elif isinstance(event, yaml.ScalarEvent):
            levels[-1].values += 1
            if event.anchor is not None:
                sizes[event.anchor] = 1
        if len(levels) - 1 > DEEPEST:
            raise ValueError(f"lists and mappings are nested more than {DEEPEST} deep")
        if aliased > MOST_ALIASED:
            raise ValueError(f"its aliases stand for more than {MOST_ALIASED:,} values")
