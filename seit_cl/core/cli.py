"""Shared parts of all commands: help lines, one-line errors with exit code 2, quiet endings."""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import tyro

from seit_cl.core.errors import UserError

T = TypeVar("T")
CONSOLE_SCRIPT = "seit-cl"
MODULE = "python -m seit_cl"
_USER_ERROR = 2
_INTERRUPTED = 130  # as shells report SIGINT
_BROKEN_PIPE = 141  # as shells report SIGPIPE
# Patterns of tyro's messages, and how they are reported.
_PLAIN_MESSAGES = (
    (r"Error parsing (\S+): invalid literal for int\(\).*: '(.*)'", r"\1 '\2': not a whole number"),
    (r"Error parsing (\S+): could not convert string to float: '(.*)'", r"\1 '\2': not a number"),
    (r"Missing value for argument '(.*)'\. .*", r"\1: a value is missing"),
    (r"Missing from [^:]*: (--\S+) .*\(required\)", r"\1 is required"),
)


def hint(text: str) -> Any:
    """Return an option's line of --help, for the metadata of its annotation."""
    return tyro.conf.arg(help=text)


def parse_line(parse: Callable[[], T]) -> T:
    """Run a tyro parser and turn the box that it draws around an error into one line.

    Args:
        parse: calls tyro.

    Raises:
        UserError: a missing value, one of the wrong type, or a word that belongs to no option.
    """
    messages = io.StringIO()
    try:
        with contextlib.redirect_stderr(messages):
            return parse()
    except SystemExit as stop:
        if stop.code != _USER_ERROR:
            raise
        message = _plain_message(_text_of_box(messages.getvalue()))
        raise UserError(f"{message}; --help lists the options") from None


def _text_of_box(box: str) -> str:
    """Extract the message from a box that tyro draws, without the advice below it, as one line.

    Where the terminal's encoding has no lines to draw with, rules of hyphens stand above the
    message and below it.
    """
    words: list[str] = []
    for line in box.splitlines()[1:]:
        text = line.strip("│╭╮╰╯ \n")
        if text and not text.strip("─-"):
            if words:
                break
            continue
        words.append(text)
    return " ".join(words).rstrip(".")


def _plain_message(message: str) -> str:
    """Replace Python's wording in one of tyro's messages, and drop the help text within it."""
    for pattern, replacement in _PLAIN_MESSAGES:
        match = re.fullmatch(pattern, message)
        if match:
            return match.expand(replacement)
    return message


def program(command: str) -> str:
    """Spell a command as it was called: "python -m seit_cl.run", or "seit-cl run".

    Args:
        command: its name, e.g. "run".
    """
    called_as = sys.argv[0]
    if called_as.startswith((f"{CONSOLE_SCRIPT} ", f"{MODULE} ")):  # by seit_cl.__main__
        return called_as
    return f"{MODULE}.{command}"


def run_command(command: Callable[[], object]) -> None:
    """Run a command's body, and print a UserError as one line on standard error.

    A reader of standard output that closes early, such as `head`, ends the command quietly.

    Args:
        command: the body; with --debug on the command line, a UserError keeps its traceback. It
            may return an exit code.
    """
    exit_code: object = None
    try:
        try:
            exit_code = command()
        finally:
            sys.stdout.flush()
    except UserError as error:
        if "--debug" in sys.argv:
            raise
        print(f"error: {error}", file=sys.stderr)
        sys.exit(_USER_ERROR)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(_INTERRUPTED)
    except BrokenPipeError:
        if not _stdout_is_closed():  # another pipe broke, e.g. to a worker process
            raise
        sys.exit(_BROKEN_PIPE)
    if isinstance(exit_code, int):
        sys.exit(exit_code)


def _stdout_is_closed() -> bool:
    """Return True if the reader of standard output is gone; if so, discard all further output."""
    try:
        print(flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return True
    return False
