"""Shared parts of all commands: help lines, one-line errors with exit code 2, quiet endings."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import tyro

from seit_cl.core.errors import UserError

T = TypeVar("T")
_USER_ERROR = 2
_INTERRUPTED = 130  # as shells report SIGINT
_BROKEN_PIPE = 141  # as shells report SIGPIPE


def hint(text: str) -> Any:
    """Give an option its line of --help, as part of its annotation."""
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
        message = _text_of_box(messages.getvalue())
        raise UserError(f"{message}; --help lists the options") from None


def _text_of_box(box: str) -> str:
    """The message in a box that tyro draws, up to the rule above its advice, as one line."""
    words: list[str] = []
    for line in box.splitlines()[1:]:
        text = line.strip("│╭╮╰╯ \n")
        if text.startswith("──"):
            break
        words.append(text)
    return " ".join(words).rstrip(".")


def run_command(command: Callable[[], None]) -> None:
    """Run a command's body, and print what users can mend as one line on standard error.

    A reader of standard output that closes early, such as `head`, ends the command quietly.

    Args:
        command: the body; with --debug on the command line, a UserError keeps its traceback.
    """
    try:
        try:
            command()
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


def _stdout_is_closed() -> bool:
    """Tell whether nobody reads standard output; if so, discard what is written from here on."""
    try:
        print(flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return True
    return False
