"""A progress bar of images with their speed, quiet where nobody watches."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn


@contextmanager
def images_bar(what: str, total: int | None, console: Console) -> Iterator[Callable[[int], None]]:
    """A bar while the block runs.

    Args:
        what: is done with the images, e.g. "encoding".
        total: images in all; None where it is not known.
        console: drawn on, where it is a terminal.

    Yields:
        A call that takes the number of images done since the last one.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TimeRemainingColumn(compact=True),
    )
    began, done = time.monotonic(), 0
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=total)

        def more(images: int) -> None:
            nonlocal done
            done += images
            speed = done / max(time.monotonic() - began, 1e-9)
            bar.update(task, completed=done, description=f"{what}: {done:,} images, {speed:,.0f}/s")

        yield more
