"""Commands that are killed, lose their power or meet a failing disk, and go on afterwards."""

from __future__ import annotations

import errno
import os
import random
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

from faults.disk import Disk, restore, states
from faults.works import Work

from seit_cl.core.errors import UserError
from seit_cl.core.system_errors import system_error_line

T = TypeVar("T")
NUMBERS = (errno.ENOSPC, errno.EIO)


@dataclass
class Tries:
    """Outcomes of faults, each followed by an undisturbed start of the command.

    Args:
        operations: file operations of the command when nothing happens.
        count: of faults.
        problems: a line for each that ended with other numbers, an error without the file's name,
            a traceback or a temporary file.
    """

    operations: int
    count: int = 0
    problems: list[str] = field(default_factory=list)


def recorded(work: Work, folder: Path) -> tuple[Disk, str]:
    """The operations of a command, and its result."""
    folder.mkdir()
    disk = Disk(folder)
    with quiet(), disk.watch():
        work.make(folder)
    return disk, work.result(folder)


def try_losses_of_power(work: Work, folder: Path, most: int | None = None) -> Tries:
    """Go on from what a disk may have kept at every operation.

    Args:
        work: the command.
        folder: an empty one for its files.
        most: states to try, drawn from all; None: all.
    """
    disk, expected = recorded(work, folder / "whole")
    tries = Tries(disk.count)
    for state, origin in drawn(states(disk.operations).items(), most):
        left = partial(restore, dict(state))
        _go_on(work, folder / "tried", expected, tries, origin, left)
    return tries


def try_failures(work: Work, folder: Path, most: int | None = None) -> Tries:
    """Let every operation fail with every error of NUMBERS; arguments as above."""
    disk, expected = recorded(work, folder / "whole")
    tries = Tries(disk.count)
    faults = [(number, at) for at in range(disk.count) for number in NUMBERS]
    for number, at in drawn(faults, most):
        origin = f"{errno.errorcode[number]} at operation {at} of {disk.count}"
        _go_on(work, folder / "tried", expected, tries, origin, partial(_fail, work, number, at))
    return tries


def try_kills(work: Work, folder: Path, most: int | None = None) -> Tries:
    """Kill the command before every operation; arguments as above."""
    disk, expected = recorded(work, folder / "whole")
    tries = Tries(disk.count)
    for at in drawn(range(disk.count), most):
        origin = f"killed before operation {at} of {disk.count}"
        _go_on(work, folder / "tried", expected, tries, origin, partial(_kill, work, at))
    return tries


@contextmanager
def quiet() -> Iterator[None]:
    """Discard what a command prints."""
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
        yield


def drawn(faults: Iterable[T], most: int | None) -> list[T]:
    """All faults, or some of them."""
    listed = list(faults)
    if most is None or most >= len(listed):
        return listed
    return random.Random(0).sample(listed, most)


def _go_on(
    work: Work,
    folder: Path,
    expected: str,
    tries: Tries,
    origin: str,
    fault: Callable[[Path], None],
) -> None:
    """Make a fault happen, do the command again, and compare its result."""
    folder.mkdir()
    tries.count += 1
    try:
        with quiet():
            fault(folder)
            work.make(folder)
        if work.result(folder) != expected:
            tries.problems.append(f"{origin}: another result")
        left = [path.name for path in folder.rglob("*") if path.name.endswith("-tmp")]
        if left:
            tries.problems.append(f"{origin}: left {left}")
    except Exception as error:
        tries.problems.append(f"{origin}: {type(error).__name__}: {error}")
    shutil.rmtree(folder)


def _fail(work: Work, number: int, at: int, folder: Path) -> None:
    """Let an operation fail, which the command tells in one line that names the file."""
    # A disk without room stays so; a bad sector is one.
    disk = Disk(folder, at, number, lasting=number == errno.ENOSPC)
    try:
        with disk.watch():
            work.make(folder)
    except (OSError, UserError) as error:
        line = str(error) if isinstance(error, UserError) else system_error_line(error)
        assert line is not None
        assert str(folder) in line, line
        assert len(line.splitlines()) == 1, line


def _kill(work: Work, at: int, folder: Path) -> None:
    """Do the command in a process of its own, which is killed before an operation."""
    process = os.fork()
    if process == 0:
        try:
            with Disk(folder, kill_at=at).watch():
                work.make(folder)
        finally:
            os._exit(1)
    _, status = os.waitpid(process, 0)
    assert os.WIFSIGNALED(status), "it was not killed"
