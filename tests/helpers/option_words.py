"""Words of a command line with other values of an option."""

from __future__ import annotations

from collections.abc import Sequence


def with_option(words: Sequence[str], name: str, *values: str) -> list[str]:
    """Give an option once, in place of where it was given.

    Args:
        words: of a command line, with options as "--name VALUE..." or "--name=VALUE".
        name: with its dashes.
        values: of the option.
    """
    kept = []
    inside = False  # among the values of the option
    for word in words:
        if word.startswith("--"):
            inside = word.partition("=")[0] == name
        if not inside:
            kept.append(word)
    return [*kept, name, *values]
