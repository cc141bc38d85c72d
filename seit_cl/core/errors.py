"""User errors: one line that names the thing, says what is wrong and says what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


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


def one_line(error: BaseException, longest: int = 200) -> str:
    """The message of an exception as one line of printable characters, or its type.

    Args:
        error: of any library.
        longest: characters after which the message is cut.
    """
    words = getattr(error, "strerror", None) or str(error)
    text = " ".join(str(words).split())
    printable = "".join(c if c.isprintable() else "?" for c in text)
    if len(printable) > longest:
        printable = printable[:longest] + "..."
    return printable or type(error).__name__


@contextmanager
def reading(subject: object, problem: str, remedy: str) -> Iterator[None]:
    """Turn whatever a parser raises about a file into one line that names the file.

    Parsers of other projects raise anything for a damaged file, in every version something else.
    So each has one such block around it, and no list of exceptions.

    Args:
        subject: the file.
        problem: for example "not a readable index"; the parser's message follows in brackets.
        remedy: what to do about it.

    Raises:
        UserError: from any exception; one that is a UserError already is left as it is.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{subject}: {problem} ({one_line(error)}); {remedy}") from error
