"""A line for people who wait while a command imports its libraries, which takes seconds."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from seit_cl.core import torchrun

PATIENCE = 1.0  # seconds after which the line is printed
LINE = "loading libraries ..."


@contextmanager
def importing() -> Iterator[None]:
    """Import inside of this block; a terminal gets a line where that takes over a second.

    A pipe or a file gets none, nor do the further processes of torchrun.
    """
    if torchrun.rank() or not sys.stderr.isatty():
        yield
        return
    waiting = threading.Timer(PATIENCE, print, [LINE], {"file": sys.stderr, "flush": True})
    waiting.daemon = True
    waiting.start()
    try:
        yield
    finally:
        waiting.cancel()
