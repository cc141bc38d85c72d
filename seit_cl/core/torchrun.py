"""The place of this process among those that torchrun has started, read without torch."""

from __future__ import annotations

import os
import time

from seit_cl.core.errors import UserError

# Set by torchrun alone. RANK and WORLD_SIZE are also set by clusters for programs of any kind.
_MARK = "TORCHELASTIC_RUN_ID"
# Seconds in which torchrun ends the other processes after one of them has ended with an error.
PATIENCE = 5.0


def count() -> int:
    """Number of processes; 1 without torchrun."""
    return _number("WORLD_SIZE", 1)


def rank() -> int:
    """Number of this process among them, from 0."""
    return _number("RANK", 0)


def local_count() -> int:
    """Number of processes on this machine."""
    return _number("LOCAL_WORLD_SIZE", 1)


def local_rank() -> int:
    """Number of this process among those on its machine, from 0."""
    return _number("LOCAL_RANK", 0)


def _number(name: str, otherwise: int) -> int:
    return int(os.environ.get(name, otherwise)) if _MARK in os.environ else otherwise


def refuse_several(command: str) -> None:
    """Refuse to run a command in several processes that would each do all of it.

    Args:
        command: its name.

    Raises:
        UserError: torchrun has started more than one process.
    """
    if count() > 1:
        raise UserError(
            f"torchrun: {command} does not divide its work among {count()} processes; start it "
            "without torchrun (run and tokenize encode do divide it)"
        )


def line_of_rank(line: str) -> str:
    """Name the process in a line about an error, unless it is the first or only one.

    An error that all processes meet is told by the first one. The others wait for torchrun to end
    them, and tell theirs only if it does not.
    """
    if rank() == 0:
        return line
    time.sleep(PATIENCE)
    return f"rank {rank()}: {line}"
