"""User errors: one line that names the thing, says what is wrong and says what to do."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Bad input. Commands print its message as one line and exit with code 2."""


class BudgetTooSmall(UserError):
    """A memory budget below the file's header and one record."""


def nearest(name: str, names: Iterable[str]) -> str:
    """Suggest names for an unknown one, as the end of an error message.

    Args:
        name: as typed by the user.
        names: the names that exist.

    Returns:
        "did you mean 'a' or 'b'?" for similar names, or else "known: a, b, c".
    """
    sorted_names = sorted(names)
    similar = difflib.get_close_matches(name, sorted_names, n=2)
    if similar:
        return f"did you mean {' or '.join(map(repr, similar))}?"
    return f"known: {', '.join(sorted_names)}"
