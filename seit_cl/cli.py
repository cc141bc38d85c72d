"""What all commands share: user errors as one line with exit code 2, Ctrl-C as one word."""

from __future__ import annotations

import sys
from collections.abc import Callable

from seit_cl.errors import UserError


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
