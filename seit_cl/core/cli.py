"""Shared parts of all commands: help lines, one-line errors with exit code 2, quiet endings."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import io
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import tyro

from seit_cl.core import torchrun
from seit_cl.core.errors import UserError
from seit_cl.core.names import printable
from seit_cl.core.notes import print_notes_as_lines, silence_notes
from seit_cl.core.system_errors import system_error_line

T = TypeVar("T")
DEBUG = "--debug"
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


def read_output(text: str) -> Path:
    """Read the value of --out.

    Raises:
        UserError: it is empty, as a variable of the shell that is not set.
    """
    if not text:
        raise UserError("--out '': is empty; give the file or folder to write, . for this one")
    return Path(text)


# The type of an option --out: a path that is not empty.
OutPath = Annotated[
    Path,
    tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="PATH",
        instance_from_str=lambda words: read_output(words[0]),
        is_instance=lambda value: isinstance(value, Path),
        str_from_instance=lambda value: [str(value)],
    ),
]


def read_max_pixels(text: str) -> int:
    """Read the value of --max-pixels.

    Raises:
        ValueError: it is no whole number.
        UserError: it is below 1.
    """
    most = int(text)
    if most < 1:
        raise UserError(f"--max-pixels {most}: must be at least 1")
    return most


# The type of an option --max-pixels, with its line of --help.
MaxPixels = Annotated[
    int,
    hint("pixels above which an image file is refused"),
    tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="INT",
        instance_from_str=lambda words: read_max_pixels(words[0]),
        is_instance=lambda value: isinstance(value, int),
        str_from_instance=lambda value: [str(value)],
    ),
]


def parse_line(parse: Callable[[], T], words: Sequence[str] | None = None) -> T:
    """Run a tyro parser and turn the box that it draws around an error into one line.

    Args:
        parse: calls tyro.
        words: of the command line; None: those of this process.

    Raises:
        UserError: a missing value, one of the wrong type, a word that belongs to no option, or an
            option of several values that is given twice.
    """
    words = sys.argv[1:] if words is None else words
    messages = io.StringIO()
    try:
        with contextlib.redirect_stderr(messages):
            options = parse()
    except SystemExit as stop:
        if stop.code != _USER_ERROR:
            raise
        message = _plain_message(_text_of_box(messages.getvalue()))
        message = _misspelt(message, words) or message
        raise UserError(f"{message}; --help lists the options") from None
    _refuse_repeated(options, words)
    return options


class LineParser(argparse.ArgumentParser):
    """A parser of argparse whose errors take one line, as those of the other commands."""

    def error(self, message: str) -> NoReturn:
        """Refuse a command line.

        Args:
            message: in the words of argparse.

        Raises:
            UserError: always.
        """
        plain = message.removeprefix("argument ")
        missing = re.fullmatch(r"the following arguments are required: (.*)", plain)
        plain = f"{missing[1]} is required" if missing else plain
        raise UserError(f"{plain}; --help lists the options")


def _misspelt(message: str, words: Sequence[str]) -> str:
    """Name the option that was meant for a required one, of which tyro says that it is missing.

    Args:
        message: of tyro, in plain words.
        words: of the command line.

    Returns:
        The message in its place; "" where no word is like the missing option.
    """
    missing = re.match(r"(--[\w-]+) is required", message)
    if missing is None:
        return ""
    flags = [word.partition("=")[0] for word in words if word.startswith("--")]
    similar = difflib.get_close_matches(missing[1], flags, n=1, cutoff=0.8)
    return f"unknown option {similar[0]}; did you mean '{missing[1]}'?" if similar else ""


def _refuse_repeated(options: Any, words: Sequence[str]) -> None:
    """Refuse an option of several values that is given twice, of which tyro drops the first.

    Args:
        options: a dataclass, or one with the words that belong to another one.
        words: of the command line.

    Raises:
        UserError: naming the option.
    """
    parsed = options[0] if isinstance(options, tuple) else options
    flags = [word.partition("=")[0].replace("_", "-") for word in words if word.startswith("--")]
    for flag in flags:
        name = flag.removeprefix("--").replace("-", "_")
        if flags.count(flag) > 1 and isinstance(getattr(parsed, name, None), tuple):
            raise UserError(f"{flag}: is given twice; give it once, with all values: {flag} A B")


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


def run_command(command: Callable[[], object], several: bool = False) -> None:
    """Run a command's body, and print an error of the user or of the machine as one line.

    The line goes to standard error, with exit code 2; so it is for a UserError, a file that cannot
    be read or written, and memory that has ended. With --debug on the command line, which every
    command takes, the error keeps its traceback. A reader of standard output that closes early,
    such as `head`, ends the command quietly. Of the processes that torchrun starts, only the first
    one prints.

    Args:
        command: the body. It may return an exit code.
        several: False for a command that does not divide its work among such processes, which is
            refused in several of them.
    """
    exit_code: object = None
    debug = DEBUG in sys.argv
    sys.argv = [word for word in sys.argv if word != DEBUG]
    is_first = torchrun.rank() == 0
    if is_first:
        print_notes_as_lines()
    else:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 (for the rest of the process)
        silence_notes()
    try:
        try:
            _refuse_hidden_package()
            if not several:
                torchrun.refuse_several("this command")
            exit_code = command()
        finally:
            sys.stdout.flush()
    except KeyboardInterrupt:
        if is_first:
            print("interrupted", file=sys.stderr)
        sys.exit(_INTERRUPTED)
    except BrokenPipeError:
        if not _stdout_is_closed():  # another pipe broke, e.g. to a worker process
            raise
        sys.exit(_BROKEN_PIPE)
    except Exception as error:
        line = str(error) if isinstance(error, UserError) else system_error_line(error)
        if debug or line is None:
            raise
        _print_error(torchrun.line_of_rank(line))
        sys.exit(_USER_ERROR)
    if isinstance(exit_code, int):
        sys.exit(exit_code)


def _refuse_hidden_package() -> None:
    """Refuse the folder above a clone, which Python takes for the package itself.

    Raises:
        UserError: the clone's folder is in front of an editable installation.
    """
    package = sys.modules[__name__.partition(".")[0]]
    if getattr(package, "__file__", None) is None:
        raise UserError(
            f"{os.path.join(os.getcwd(), package.__name__)}: this folder hides the installed "
            "package of its name; start the command in it, or in another folder"
        )


def _print_error(line: str) -> None:
    """Print an error, also where names in it cannot be encoded or standard error is closed."""
    encoding = getattr(sys.stderr, "encoding", None) or "utf-8"
    with contextlib.suppress(OSError):
        text = f"error: {printable(line)}".encode(encoding, "backslashreplace").decode(encoding)
        print(text, file=sys.stderr)


def _stdout_is_closed() -> bool:
    """Return True if the reader of standard output is gone; if so, discard all further output."""
    try:
        print(flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return True
    return False
