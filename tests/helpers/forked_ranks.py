"""Ranks of a run as forked processes of a test, which need not import torch again."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import socket
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import pytest
import torch

from seit_cl.core.errors import UserError
from seit_cl.core.ranks import TIMEOUT, Ranks, join, leave

WAIT = 900.0  # seconds in which all ranks have to end
EXCHANGE = 600.0  # seconds in which each of their exchanges has to end
DIED = "died"


def in_ranks(count: int, work: Callable[[Ranks], Any], timeout: float = EXCHANGE) -> list[Any]:
    """Call a function in every rank of a group, and return what each of them returns.

    Args:
        count: number of ranks.
        work: gets the rank; its result, or the UserError that it raises, is pickled.
        timeout: seconds in which each exchange has to end.

    Returns:
        Results and errors in order of the ranks; DIED for one that was killed.
    """
    context = multiprocessing.get_context("fork")
    port = _free_port()
    pipes = []
    processes = []
    for rank in range(count):
        ours, theirs = context.Pipe(duplex=False)
        place = place_of(rank, count, port)
        process = context.Process(target=_run, args=(theirs, place, timeout, work), daemon=True)
        process.start()
        theirs.close()
        pipes.append(ours)
        processes.append(process)
    results = [_received(pipe) for pipe in pipes]
    for process in processes:
        process.join(WAIT)
        process.kill()
    for result in results:
        if isinstance(result, str) and result.startswith("Traceback"):
            pytest.fail(result)
    return results


def place_of(rank: int, count: int, port: int) -> dict[str, str]:
    """The environment of a rank, as torchrun sets it."""
    return {
        "TORCHELASTIC_RUN_ID": "test",
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "MASTER_ADDR": "localhost",
        "MASTER_PORT": str(port),
    }


def _free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("localhost", 0))
        return int(opened.getsockname()[1])


def _received(pipe: Connection) -> Any:
    try:
        # As bytes: torch sends tensors through memory that ends with the process.
        return pickle.loads(pipe.recv_bytes()) if pipe.poll(WAIT) else "Traceback: no answer"
    except EOFError:
        return DIED


def _run(
    pipe: Connection, place: dict[str, str], timeout: float, work: Callable[[Ranks], Any]
) -> None:
    """Join the other ranks, work and send the result."""
    os.environ |= place | {TIMEOUT: str(timeout)}
    torch.set_num_threads(1)  # a forked process has none of its parent's threads
    try:
        ranks = join(torch.device("cpu"))
        result = work(ranks)
        leave(ranks)
    except UserError as error:
        result = error
    except BaseException:
        result = traceback.format_exc()
    pipe.send_bytes(pickle.dumps(result))
    pipe.close()
    os._exit(0)
