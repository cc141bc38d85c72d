"""A clock that turns minutes of training into a number of steps."""

from itertools import count
from types import SimpleNamespace

import pytest

from seit_cl.tokenizers.training import timed


def count_minutes_as_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Advance the clock of trainings by a minute at every reading, so `minutes` counts steps."""
    seconds = count(0, 60)
    monkeypatch.setattr(timed, "time", SimpleNamespace(monotonic=lambda: next(seconds)))
