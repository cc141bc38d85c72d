"""Calls for many small items in threads, on all cores of the process."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from seit_cl.core.devices import allowed_cores

Item = TypeVar("Item")
Result = TypeVar("Result")
BLOCK = 32  # items of one task at most: a task costs about as much as reading one small image


@contextmanager
def thread_pool(threads: int | None = None) -> Iterator[ThreadPoolExecutor]:
    """Open a pool of threads; tasks that have not begun when the block ends are dropped.

    Args:
        threads: number of threads; None: one per core that this process may use.
    """
    pool = ThreadPoolExecutor(threads or allowed_cores())
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def blocks(items: Sequence[Item], threads: int | None = None) -> Iterator[Sequence[Item]]:
    """Cut items into blocks of up to BLOCK, and into two blocks a thread where they are few."""
    size = min(BLOCK, math.ceil(len(items) / (2 * (threads or allowed_cores()))))
    for start in range(0, len(items), max(1, size)):
        yield items[start : start + size]


def map_in_threads(
    call: Callable[[Item], Result], items: Sequence[Item], threads: int | None = None
) -> Iterator[Result]:
    """Call a function for every item, in threads.

    Args:
        call: called in any thread; an error in it is raised when its result is due.
        items: cut into blocks, each of which is one task.
        threads: number of threads; None: one per core that this process may use.

    Returns:
        The results in the order of the items.
    """

    def call_for_block(block: Sequence[Item]) -> list[Result]:
        return [call(item) for item in block]

    with thread_pool(threads) as pool:
        for results in pool.map(call_for_block, blocks(items, threads)):
            yield from results
