"""YAML from files of unknown origin, read by libyaml where it is there."""

from __future__ import annotations

from typing import Any

import yaml

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's is ten times as fast
DEEPEST = 100  # levels of lists and mappings


def read_yaml(text: str) -> Any:
    """Read a document.

    Raises:
        Exception: any, for a text that is no YAML.
        ValueError: lists and mappings within one another that the loader's stack does not hold; it
            would end the process.
    """
    if _may_be_deep(text):
        _check_depth(text)
    return yaml.load(text, Loader=LOADER)


def _may_be_deep(text: str) -> bool:
    """Return False where brackets and columns are too few for deep nesting."""
    longest = max(map(len, text.splitlines()), default=0)
    return longest > DEEPEST or text.count("[") + text.count("{") > DEEPEST


def _check_depth(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEEPEST:
            raise ValueError(f"lists and mappings are nested more than {DEEPEST} deep")
