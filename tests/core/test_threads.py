"""Calls in threads: results in order, the first error, and nothing left to do after either."""

from __future__ import annotations

import threading
import time

import pytest

from seit_cl.core.threads import BLOCK, blocks, map_in_threads, thread_pool


@pytest.mark.parametrize("threads", [1, 3])
def test_results_are_in_the_order_of_the_items(threads: int) -> None:
    items = range(5 * BLOCK + 1)
    assert list(map_in_threads(lambda item: 2 * item, items, threads)) == [2 * i for i in items]


def test_no_items_give_no_results() -> None:
    assert list(map_in_threads(str, [])) == []


def test_the_error_of_the_first_item_that_fails_is_raised() -> None:
    def fail(item: int) -> None:
        if item % 70 == 69:
            raise ValueError(str(item))

    with pytest.raises(ValueError, match=r"^69$"):
        list(map_in_threads(fail, range(1000), 4))


def test_few_items_are_shared_among_all_threads() -> None:
    assert [list(block) for block in blocks(range(8), 2)] == [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert [len(block) for block in blocks(range(200), 2)] == [BLOCK] * 6 + [8]


def test_tasks_that_have_not_begun_are_dropped_when_the_block_ends() -> None:
    begun: list[int] = []
    go_on = threading.Event()

    def wait(item: int) -> None:
        begun.append(item)
        go_on.wait(10)

    with pytest.raises(KeyboardInterrupt), thread_pool(1) as pool:
        tasks = [pool.submit(wait, item) for item in range(5)]
        while not begun:
            time.sleep(0.001)
        threading.Timer(0.05, go_on.set).start()
        raise KeyboardInterrupt
    assert begun == [0]
    assert all(task.cancelled() for task in tasks[1:])
