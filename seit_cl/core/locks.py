"""Locks on open files and on folders, which end with the process that holds them.

They are those of flock(2), which the kernel gives back when a process ends, however it ends. NFS
passes them on to its server, so that they hold between machines, unless it is mounted with
`nolock` or `local_lock`. Where a file system has no locks, nothing is locked.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from seit_cl.core.errors import UserError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

NAME = ".lock"  # in a locked folder; who holds it, as JSON
LONGEST = 1000  # bytes that are read of it
PATIENCE = 0.2  # seconds in which a lock that another process only looks at becomes free
_HELD = (errno.EWOULDBLOCK, errno.EACCES)


class Held(UserError):
    """A folder that another process is working in."""


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
def locked_folder(folder: Path) -> Iterator[str]:
    """Hold the lock of a folder, which is taken over from a holder that is dead.

    Args:
        folder: exists; it is removed at the end if nothing was written there.

    Yields:
        What there is to say about the lock, in one line, or "".

    Raises:
        Held: another process holds it.
        OSError: the folder cannot be written.
    """
    path = folder / NAME
    descriptor = _acquire(path, folder)
    if descriptor is None:
        yield "this file system has no locks: no other process may make the same run"
        return
    try:
        dead = _read_holder(descriptor)
        _write_holder(descriptor, path)
        yield f"taken over from {dead}, which has not ended its work" if dead else ""
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
    try:
        descriptor = os.open(folder / NAME, os.O_RDWR)
    except OSError:
        return
    try:
        if try_lock(descriptor, shared=True) is False:
            raise _held(folder, descriptor)
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
                raise _held(folder, descriptor)
        finally:
            os.close(descriptor)
        if not locked:
            time.sleep(PATIENCE / 4)


def _held(folder: Path, descriptor: int) -> Held:
    holder = _read_holder(descriptor) or "another process"
    return Held(
        f"{folder}: {holder} is making this run; wait until it has ended, stop it, or choose "
        "another --out"
    )


def _read_holder(descriptor: int) -> str:
    """Describe the process that a lock's file names; "" for none."""
    try:
        holder = json.loads(os.pread(descriptor, LONGEST, 0).decode())
        process, host, since = int(holder["pid"]), holder["host"], holder["since"]
    except (ValueError, KeyError, TypeError, RecursionError, OSError):
        return ""
    return f"process {process} on {host} (since {since})".encode("unicode_escape").decode()


def _write_holder(descriptor: int, path: Path) -> None:
    holder = {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "since": time.strftime("%Y-%m-%d %H:%M:%S"),
    }
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(holder).encode() + b"\n", 0)
    except OSError as error:
        error.filename = error.filename or str(path)
        raise
