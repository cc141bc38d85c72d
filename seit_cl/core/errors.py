"""Errors that a user caused and can mend: one line that names the thing and says what to do."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Bad input. The command line prints its message alone and exits with 2."""


class BudgetTooSmall(UserError):
    """A memory budget below the file's header and one record."""


def nearest(name: str, known: Iterable[str]) -> str:
    """A phrase that lists the nearest known names, for the end of an error message.

    Args:
        name: what the user typed.
        known: the names that exist.

    Returns:
        "did you mean 'a'?" where something is near, else "known: a, b, c".
    """
    options = sorted(known)
    close = difflib.get_close_matches(name, options, n=2)
    if close:
        return "did you mean " + " or ".join(repr(c) for c in close) + "?"
    return "known: " + ", ".join(options)
