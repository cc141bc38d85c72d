"""Locks on open files and on folders, which end with the process that holds them.

They are those of flock(2), which the kernel gives back when a process ends, however it ends. NFS
passes them on to its server, so that they hold between machines, unless it is mounted with
`nolock` or `local_lock`. Where a file system has no locks, nothing is locked.
"""

from __future__ import annotations

import errno
import json
import math
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from seit_cl.core.errors import UserError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

NAME = ".lock"  # in a locked folder; who holds it and how far the work is, as JSON
LONGEST = 1000  # bytes that are read of it
_WIDTH = 400  # bytes that are written of it, always as many, so that no reader sees a part
REPORTS = 2.0  # seconds between two reports on the progress of the work
UNKNOWN = "another process"
NUMBERS = ("began", "share_at_start", "share", "reported")  # of a holder
PATIENCE = 0.2  # seconds in which a lock that another process only looks at becomes free
_HELD = (errno.EWOULDBLOCK, errno.EACCES)


class Held(UserError):
    """A folder that another process is working in."""


@dataclass(frozen=True)
class Holder:
    """The process that holds a folder, and how far its work is.

    Args:
        pid: its number.
        host: its machine.
        since: when it began, as text.
        began: the same in seconds since 1970.
        share_at_start: of the work that was done when it began, from 0 to 1.
        share: of the work that was done when it last reported.
        reported: when that was, in seconds since 1970.
    """

    pid: int
    host: str
    since: str
    began: float = 0.0
    share_at_start: float = 0.0
    share: float = 0.0
    reported: float = 0.0

    def __str__(self) -> str:
        text = f"process {self.pid} on {self.host} (since {self.since})"
        return text.encode("unicode_escape").decode()

    @property
    def seconds_left(self) -> float | None:
        """Time that the rest takes at the pace so far; None before there is any."""
        done = self.share - self.share_at_start
        if done <= 0 or self.reported <= self.began:
            return None
        return (self.reported - self.began) * (1 - self.share) / done


class FolderLock:
    """A lock that this process holds.

    Args:
        about: what there is to say about it, in one line, or "".
        descriptor: of its file; None where the file system has no locks.
        holder: this process, as the file describes it.
    """

    def __init__(self, about: str, descriptor: int | None, holder: Holder | None) -> None:
        self.about = about
        self._descriptor = descriptor
        self._holder = holder
        self._next = 0.0

    def report(self, share: float) -> None:
        """Tell other processes how far the work is, every few seconds at most.

        Args:
            share: of the work that is done, from 0 to 1.
        """
        if self._descriptor is None or self._holder is None or time.monotonic() < self._next:
            return
        first = self._next == 0
        self._next = time.monotonic() + REPORTS
        at_start = share if first else self._holder.share_at_start
        self._holder = replace(
            self._holder, share_at_start=at_start, share=share, reported=time.time()
        )
        with suppress(OSError):  # of a full disk, which the work itself will meet
            _write_holder(self._descriptor, self._holder)


def try_lock(descriptor: int, shared: bool = False) -> bool | None:
    """Lock an open file or folder without waiting.

    Args:
        descriptor: of the open file; closing it ends the lock.
        shared: let others hold a shared lock too, none of which excludes another.

    Returns:
        True, or False where another process holds a lock; None where the file system has no locks.
    """
    if fcntl is None:
        return None
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError as error:
        return False if error.errno in _HELD else None
    return True


def is_path_of(descriptor: int, path: Path) -> bool:
    """True if a path still leads to an open file, which may have been deleted or replaced."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path, follow_symlinks=False))
    except FileNotFoundError:
        return False


@contextmanager
def locked_folder(folder: Path) -> Iterator[FolderLock]:
    """Hold the lock of a folder, which is taken over from a holder that is dead.

    Args:
        folder: exists; it is removed at the end if nothing was written there.

    Yields:
        The lock.

    Raises:
        Held: another process holds it.
        OSError: the folder cannot be written.
    """
    path = folder / NAME
    descriptor = _acquire(path, folder)
    if descriptor is None:
        about = "this file system has no locks: no other process may make the same run"
        yield FolderLock(about, None, None)
        return
    try:
        dead = _read_holder(descriptor)
        now = time.time()
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now))
        holder = Holder(os.getpid(), socket.gethostname()[:100], since, now, reported=now)
        try:
            os.ftruncate(descriptor, 0)
            _write_holder(descriptor, holder)
        except OSError as error:
            error.filename = error.filename or str(path)
            raise
        about = f"taken over from {dead}, which has not ended its work" if dead else ""
        yield FolderLock(about, descriptor, holder)
    finally:
        with suppress(OSError):
            path.unlink()
        os.close(descriptor)
        with suppress(OSError):
            folder.rmdir()  # succeeds only where it is empty


def require_free(folder: Path) -> None:
    """Check that no other process holds the lock of a folder, which need not exist.

    Raises:
        Held: one does.
    """
    holder = holder_of(folder)
    if holder is not None:
        raise _held(folder, holder)


def holder_of(folder: Path) -> Holder | str | None:
    """The process that holds the lock of a folder, which need not exist.

    Returns:
        The process, or words for one that is not described; None where no process holds it, and
        where the file system has no locks.
    """
    try:
        descriptor = os.open(folder / NAME, os.O_RDWR)
    except OSError:
        return None
    try:
        if try_lock(descriptor, shared=True) is not False:
            return None
        return _read_holder(descriptor) or UNKNOWN
    finally:
        os.close(descriptor)


def _acquire(path: Path, folder: Path) -> int | None:
    """Open the file of a lock and lock it; None where the file system has no locks."""
    deadline = time.monotonic() + PATIENCE
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        locked = try_lock(descriptor)
        if locked and is_path_of(descriptor, path):
            return descriptor
        try:
            if locked is None:
                path.unlink()
                return None
            # A file that its last holder has deleted is opened anew.
            if not locked and time.monotonic() > deadline:
                raise _held(folder, _read_holder(descriptor) or UNKNOWN)
        finally:
            os.close(descriptor)
        if not locked:
            time.sleep(PATIENCE / 4)


def _held(folder: Path, holder: Holder | str) -> Held:
    return Held(
        f"{folder}: {holder} is making this run; wait until it has ended, stop it, or choose "
        "another --out"
    )


def _read_holder(descriptor: int) -> Holder | None:
    """The process that a lock's file names; None for none."""
    try:
        read = json.loads(os.pread(descriptor, LONGEST, 0).decode())
        numbers = [float(read.get(name, 0)) for name in NUMBERS]
        if not all(map(math.isfinite, numbers)):
            return None
        return Holder(int(read["pid"]), str(read["host"]), str(read["since"]), *numbers)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OSError):
        return None


def _write_holder(descriptor: int, holder: Holder) -> None:
    text = json.dumps(asdict(holder)).ljust(_WIDTH)
    os.pwrite(descriptor, text.encode() + b"\n", 0)
