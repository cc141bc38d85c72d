"""What all commands share: user errors as one line with exit code 2, Ctrl-C as one word."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import tyro

from seit_cl.core.errors import UserError

T = TypeVar("T")


def hint(text: str) -> Any:
    """What --help says of an option, for its annotation."""
    return tyro.conf.arg(help=text)


def parse_line(parse: Callable[[], T]) -> T:
    """Run a tyro parser and turn the box that it draws around an error into one line.

    Args:
        parse: calls tyro.

    Raises:
        UserError: a missing value, one of the wrong type, or a word that belongs to no option.
    """
    shown = io.StringIO()
    try:
        with contextlib.redirect_stderr(shown):
            return parse()
    except SystemExit as stop:
        if stop.code != 2:
            raise
        words = [line.strip("│╭╮╰╯ \n") for line in shown.getvalue().splitlines()[1:]]
        rule = next((i for i, line in enumerate(words) if line.startswith("──")), len(words))
        raise UserError(f"{' '.join(words[:rule]).rstrip('.')}; --help lists the options") from None


def run_command(command: Callable[[], None]) -> None:
    """Run a command's body and turn what users can mend into one line on standard error.

    Args:
        command: the body; `--debug` on the command line lets a UserError through with its traceback.
    """
    try:
        command()
    except UserError as error:
        if "--debug" in sys.argv:
            raise
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
