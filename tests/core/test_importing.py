"""A terminal is told that libraries are imported, where that takes long."""

from __future__ import annotations

import io
import sys
import time

import pytest

from seit_cl.core import importing


class Terminal(io.StringIO):
    """Standard error that somebody looks at."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "seconds", "printed"),
    [
        (Terminal(), 0.3, "loading libraries ...\n"),
        (Terminal(), 0.0, ""),
        (io.StringIO(), 0.3, ""),
    ],
)
def test_slow_imports_are_told_to_a_terminal_alone(
    monkeypatch: pytest.MonkeyPatch, stream: io.StringIO, seconds: float, printed: str
) -> None:
    monkeypatch.setattr(importing, "PATIENCE", 0.05)
    monkeypatch.setattr(sys, "stderr", stream)
    with importing.importing():
        time.sleep(seconds)
    time.sleep(0.1)
    assert stream.getvalue() == printed
