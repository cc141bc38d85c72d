"""Progress bars of all commands; nothing is drawn where the console is no terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

T = TypeVar("T")
BAR_WIDTH = 20  # characters


@contextmanager
def progress_bars(console: Console) -> Iterator[Progress]:
    """Show progress bars while the block runs, one for each task that is added.

    Args:
        console: where the bars are drawn.
    """
    columns = (
        BarColumn(bar_width=BAR_WIDTH),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:
        yield bars


class ImageBar:
    """A bar that counts images and shows their speed.

    Args:
        bars: where it is drawn.
        action: shown before the count, e.g. "encoding".
        total: number of images; None where it is unknown.
    """

    def __init__(self, bars: Progress, action: str, total: int | None) -> None:
        self._bars = bars
        self._action = action
        self._total = total
        self._task = bars.add_task(action, total=total)
        self._started = time.monotonic()
        self.done = 0

    def advance(self, images: int) -> None:
        """Count further images as done."""
        self.set(self.done + images)

    def set(self, done: int) -> None:
        """Set the number of images done."""
        self.done = done
        speed = done / max(time.monotonic() - self._started, 1e-9)
        count = f"{done:,}" if self._total is None else f"{done:,} of {self._total:,}"
        text = f"{self._action}: {count} images, {speed:,.0f}/s"
        self._bars.update(self._task, completed=done, description=text)

    def remove(self) -> None:
        """Take the bar off the screen."""
        self._bars.remove_task(self._task)


@contextmanager
def images_bar(action: str, total: int | None, console: Console) -> Iterator[Callable[[int], None]]:
    """Show one bar of images while the block runs.

    Args:
        action: shown before the count, e.g. "encoding".
        total: number of images; None where it is unknown.
        console: where the bar is drawn.

    Yields:
        A function that takes the number of images done since its last call.
    """
    with progress_bars(console) as bars:
        yield ImageBar(bars, action, total).advance


def track(items: Sequence[T], action: str, console: Console) -> Iterator[T]:
    """Iterate over items while a bar counts them.

    Args:
        items: yielded one after the other.
        action: shown next to the bar, e.g. "measuring".
        console: where the bar is drawn.
    """
    with progress_bars(console) as bars:
        yield from bars.track(items, description=action)
