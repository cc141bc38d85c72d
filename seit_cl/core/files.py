"""Atomic writes, which replace a file as a whole or not at all, and folders that can be written.

A file is written under a temporary name in its folder, which stays locked until the file is renamed
or the process ends (`seit_cl.core.locks`). What killed processes have left is deleted by `sweep`.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import secrets
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from seit_cl.core.errors import UserError
from seit_cl.core.locks import is_path_of, try_lock

# The name of the final file, cut; the host and the process that writes it, hashed or drawn.
TEMPORARY = re.compile(r"\.(?P<name>.+)\.(?P<host>[0-9a-f]{6})-[0-9a-f]{8}\.seit_cl-tmp", re.DOTALL)
EARLIER_TEMPORARY = re.compile(r"\.(?P<name>.+)\.(?P<process>[0-9]{1,9})\.tmp", re.DOTALL)
LONGEST_NAME = 40  # letters of the name of a file that its temporary name has
FOREIGN_AGE = 86_400.0  # seconds after which a file that another machine has left is abandoned
# Failures to write, whose errors do not name the file.
_WRITE_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)
# Errors of file systems that cannot write a folder to the disk by itself, or of folders that may
# be written but not read.
_NO_FOLDER_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES, errno.EPERM)


@contextmanager
def atomic_file(path: str | os.PathLike[str], sync: bool = True) -> Iterator[BinaryIO]:
    """Open a file for writing that replaces `path` when the block ends.

    The data goes to a temporary file in the same folder, is flushed to the disk and then renamed,
    so that readers see the old file or the new one and never a part. If the block raises, the old
    file stays and the temporary file is removed.

    Args:
        path: the file.
        sync: write the folder through to the disk too, so that the new file survives a loss of
            power from now on. Without, either file may be there afterwards, until another file of
            the folder is written with it.

    Raises:
        OSError: the folder cannot be written, or has no room; its `filename` is `path`.
    """
    path = Path(path)
    temporary = None
    try:
        temporary, file = _open_temporary(path)
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            # Within the lock, so that no other process takes the file for an abandoned one.
            os.replace(temporary, path)
        if sync:
            sync_folder(path.parent)
    except OSError as error:
        _name_target(error, path, temporary)
        raise
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


def _open_temporary(path: Path) -> tuple[Path, BinaryIO]:
    """Make a locked temporary file beside a path."""
    while True:
        temporary = _temporary_path(path)
        try:
            file = open(temporary, "xb")  # noqa: SIM115 (closed by the caller)
        except OSError as error:
            _name_target(error, path, temporary)
            raise
        try_lock(file.fileno())
        # `sweep` may have deleted it between these two lines.
        if is_path_of(file.fileno(), temporary):
            return temporary, file
        file.close()


def _name_target(error: OSError, path: Path, temporary: Path | None) -> None:
    """Make an error of a temporary file, or one that names no file, one of the file's path."""
    is_ours = error.filename is not None and error.filename == str(temporary)
    if is_ours or (error.filename is None and error.errno in _WRITE_ERRORS):
        error.filename = str(path)
        error.filename2 = None


def write_atomic(path: str | os.PathLike[str], data: bytes | str, sync: bool = True) -> None:
    """Write data (text as UTF-8) to a file that readers see whole or not at all.

    Args:
        path: the file.
        data: its content.
        sync: as in `atomic_file`.

    Raises:
        OSError: the folder cannot be written; an existing file is left unchanged.
    """
    encoded = data.encode() if isinstance(data, str) else data
    with atomic_file(path, sync) as file:
        file.write(encoded)


@contextmanager
def temporary_folder(path: Path) -> Iterator[Path]:
    """Make a folder beside a path, to be filled and renamed to it; it is removed if it is not.

    Args:
        path: of the final folder; its parents are made.

    Raises:
        OSError: the folder cannot be made.
    """
    make_folder(path.parent)
    folder = _temporary_path(path)
    folder.mkdir()
    descriptor = None
    try:
        with contextlib.suppress(OSError):  # Windows opens no folders
            descriptor = os.open(folder, os.O_RDONLY)
            try_lock(descriptor)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if descriptor is not None:
            os.close(descriptor)


def discard_folder(folder: Path) -> None:
    """Delete a folder such that no part of it ever stands for the whole.

    Raises:
        OSError: it cannot be renamed.
    """
    discarded = _temporary_path(folder)
    folder.rename(discarded)
    sync_folder(folder.parent)
    shutil.rmtree(discarded, ignore_errors=True)  # `sweep` deletes what is left


def sync_folder(folder: Path) -> None:
    """Write a folder's entries to the disk, so that names in it survive a loss of power.

    Raises:
        OSError: the disk fails.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            error.filename = error.filename or str(folder)
            raise


def make_folder(folder: Path) -> None:
    """Make a folder with its parents, where they do not exist; they survive a loss of power.

    Raises:
        OSError: one of them cannot be made.
    """
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


# ---------------------------------------------------------------- what killed processes have left
def _temporary_path(path: Path) -> Path:
    name = path.name[:LONGEST_NAME]
    return path.with_name(f".{name}.{_host()}-{secrets.token_hex(4)}.seit_cl-tmp")


def _host() -> str:
    """Name this machine in six hexadecimal digits."""
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:6]


def sweep(folder: Path, name: str = "", ours: bool = False) -> None:
    """Delete temporary files and folders of processes that do not live any more.

    Those of a living process are locked. Files of another machine, whose locks may not be visible
    here, are left for a day.

    Args:
        folder: need not exist; its own folders are not searched.
        name: of the file that they were to become; "" for all.
        ours: nobody else writes here, so that the names of earlier versions are known too.
    """
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        match = TEMPORARY.fullmatch(entry.name)
        if match and (not name or match["name"] == name[:LONGEST_NAME]):
            _delete_abandoned(Path(entry.path), match["host"])
            continue
        earlier = EARLIER_TEMPORARY.fullmatch(entry.name)
        if earlier and ours:
            _delete_of_process(Path(entry.path), int(earlier["process"]))


def _delete_abandoned(path: Path, host: str) -> None:
    """Delete a temporary file or folder unless a living process may hold it."""
    with contextlib.suppress(OSError):
        is_folder = path.is_dir() and not path.is_symlink()
        # NFS locks only what is open for writing.
        descriptor = os.open(path, os.O_RDONLY if is_folder else os.O_RDWR | os.O_NONBLOCK)
        try:
            is_old = time.time() - os.fstat(descriptor).st_mtime > FOREIGN_AGE
            if try_lock(descriptor) and (host == _host() or is_old):
                _delete(path, is_folder)
        finally:
            os.close(descriptor)


def _delete_of_process(path: Path, process: int) -> None:
    """Delete a temporary file of an earlier version, which no lock protects."""
    with contextlib.suppress(OSError):
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            _delete(path, is_folder=False)


def _delete(path: Path, is_folder: bool) -> None:
    if is_folder:
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink()


def make_writable_folder(folder: Path, option: str) -> None:
    """Make a folder and try to write in it, before any work is done.

    Args:
        folder: created with its parents if it does not exist.
        option: the command-line option that names the folder, for the message.

    Raises:
        UserError: the folder is a file or cannot be written.
    """
    try:
        make_folder(folder)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(
            f"{option} {folder}: cannot be written ({error.strerror}); choose another folder"
        ) from error
    sweep(folder)
