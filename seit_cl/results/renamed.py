"""Names and values in files of earlier versions: specs that were renamed, options added later."""

from __future__ import annotations

# The tables' coder was called "ans" at first, although it has always been a range coder. Memory
# files count against the budget byte by byte and must stay comparable, so they keep that spelling.
_PRESENT_SPELLING = {"tokens:coder=ans": "tokens:coder=table"}
_STORED_SPELLING = {present: stored for stored, present in _PRESENT_SPELLING.items()}

# What runs did before there was an option for it, where that is not the option's default.
EARLIER_OPTIONS = {"fill": "after"}


def present_spec(spec: str) -> str:
    """Return a format's spec as it is spelled today, e.g. "tokens:coder=table"."""
    return _PRESENT_SPELLING.get(spec, spec)


def stored_spec(spec: str) -> str:
    """Return a format's spec as memory files spell it, e.g. "tokens:coder=ans"."""
    return _STORED_SPELLING.get(spec, spec)


def spellings(spec: str) -> list[str]:
    """Return every spelling of a format's spec, the given one first."""
    return list(dict.fromkeys([spec, present_spec(spec), stored_spec(spec)]))
