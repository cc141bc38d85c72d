"""A layer between the program and a folder that records its file operations, or fails at one.

It stands in place of the functions of `os` and `io` that the program writes with. From a recording
the folder after a loss of power is built at every operation: a disk keeps what was synchronised,
and of the rest anything or nothing. So SQLite is tested (https://www.sqlite.org/testing.html,
"I/O Error Testing" and "Crash Testing").
"""

from __future__ import annotations

import builtins
import contextlib
import io
import os
import random
import signal
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WRITING = "wxa+"
IGNORED = (".lock",)  # files that are no part of any result


@dataclass(frozen=True)
class Operation:
    """A file operation.

    Args:
        kind: create, write, sync, rename, unlink, mkdir, rmdir or sync_folder.
        path: relative to the folder; of `rename`, the old one.
        file: number of the file, which stays when it is renamed; -1 for folders and for files that
            were there before.
        target: the new path of `rename`.
        offset: of `write`.
        data: of `write`.
    """

    kind: str
    path: str
    file: int = -1
    target: str = ""
    offset: int = 0
    data: bytes = b""


class Disk:
    """Recorder of the operations in a folder, one of which may fail.

    Args:
        root: the folder.
        fail_at: number of the operation that fails, from 0; None: none does.
        number: of the error, such as errno.ENOSPC.
        lasting: all later operations fail too.
        kill_at: number of the operation before which the process kills itself; None: none.
    """

    def __init__(
        self,
        root: Path,
        fail_at: int | None = None,
        number: int = 0,
        lasting: bool = False,
        kill_at: int | None = None,
    ) -> None:
        self.root = str(root.resolve())
        self.fail_at = fail_at
        self.number = number
        self.lasting = lasting
        self.kill_at = kill_at
        self.count = 0
        self.operations: list[Operation] = []
        self._files: dict[tuple[int, int], int] = {}  # device and inode -> number
        self._made = 0

    def relative(self, path: Any) -> str | None:
        """A path relative to the folder; None for one outside of it, or an open file."""
        if isinstance(path, int):
            return None
        text = os.path.abspath(os.fspath(path))
        if isinstance(text, bytes) or not text.startswith(self.root + os.sep):
            return None
        return text[len(self.root) + 1 :]

    def step(self, path: Any = None) -> None:
        """Count an operation, and let it fail if it is its turn.

        Raises:
            OSError: it fails.
        """
        number = self.count
        self.count += 1
        if number == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.fail_at is None:
            return
        if number == self.fail_at or (self.lasting and number > self.fail_at):
            words = [self.number, os.strerror(self.number)]
            raise OSError(*words, *([] if path is None else [os.fspath(path)]))

    def note(self, operation: Operation) -> None:
        """Record an operation that has succeeded."""
        if os.path.basename(operation.path) not in IGNORED:
            self.operations.append(operation)

    def made(self, descriptor: int) -> int:
        """Number a file that has just been made."""
        status = os.fstat(descriptor)
        self._made += 1
        self._files[status.st_dev, status.st_ino] = self._made
        return self._made

    def file(self, descriptor: int) -> int | None:
        """The number of an open file; None for one that was there before."""
        status = os.fstat(descriptor)
        return self._files.get((status.st_dev, status.st_ino))

    @contextmanager
    def watch(self) -> Iterator[Disk]:
        """Stand between the program and the folder while the block runs."""
        patches: list[tuple[Any, str, Any]] = [
            (builtins, "open", self._open(io.open)),
            (io, "open", self._open(io.open)),
            (os, "open", self._os_open(os.open)),
            (os, "fsync", self._fsync(os.fsync)),
            (os, "replace", self._rename(os.replace)),
            (os, "rename", self._rename(os.rename)),
            (os, "pwrite", self._plain(os.pwrite)),
            (os, "ftruncate", self._plain(os.ftruncate)),
        ]
        for name in ("unlink", "remove", "mkdir", "rmdir"):
            kind = "unlink" if name == "remove" else name
            patches.append((os, name, self._of_path(getattr(os, name), kind)))
        with contextlib.ExitStack() as stack:
            for place, name, function in patches:
                stack.callback(setattr, place, name, getattr(place, name))
                setattr(place, name, function)
            yield self

    def _open(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def opened(
            path: Any, mode: str = "r", buffering: int = -1, *rest: Any, **named: Any
        ) -> Any:
            inside = self.relative(path)
            if inside is None or not set(mode) & set(WRITING):
                return real(path, mode, buffering, *rest, **named)
            raw = _File(self, path, mode.replace("b", "").replace("t", ""), inside)
            if buffering == 0:
                return raw
            if "+" in mode:
                return io.BufferedRandom(raw)
            buffered = io.BufferedWriter(raw)
            return buffered if "b" in mode else io.TextIOWrapper(buffered, *rest, **named)

        return opened

    def _os_open(self, real: Callable[..., int]) -> Callable[..., int]:
        def opened(path: Any, flags: int, *rest: Any, **named: Any) -> int:
            if self.relative(path) is not None and flags & os.O_CREAT:
                self.step(path)
            return real(path, flags, *rest, **named)

        return opened

    def _fsync(self, real: Callable[[int], None]) -> Callable[[int], None]:
        def synchronise(descriptor: int) -> None:
            file = self.file(descriptor)
            path = self.relative(os.readlink(f"/proc/self/fd/{descriptor}"))
            is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
            is_root = os.readlink(f"/proc/self/fd/{descriptor}") == self.root
            if path is None and not is_root:
                return  # elsewhere, where nothing is tested
            self.step()
            if is_folder:
                self.note(Operation("sync_folder", path or ""))
            elif file is not None:
                # numpy writes arrays past `write`; what is synchronised is the whole file.
                content = Path(f"/proc/self/fd/{descriptor}").read_bytes()
                self.note(Operation("write", path or "", file, "", 0, content))
                self.note(Operation("sync", path or "", file))

        return synchronise  # the real one, which takes time, changes nothing here

    def _rename(self, real: Callable[..., None]) -> Callable[..., None]:
        def rename(old: Any, new: Any, **named: Any) -> None:
            source, target = self.relative(old), self.relative(new)
            if source is None or target is None:
                return real(old, new, **named)
            self.step(old)
            real(old, new, **named)
            status = os.stat(new)
            file = self._files.get((status.st_dev, status.st_ino), -1)
            return self.note(Operation("rename", source, file, target))

        return rename

    def _of_path(self, real: Callable[..., None], kind: str) -> Callable[..., None]:
        def change(path: Any, *rest: Any, **named: Any) -> None:
            inside = self.relative(path)
            if inside is None or named.get("dir_fd") is not None:
                return real(path, *rest, **named)
            self.step(path)
            real(path, *rest, **named)
            return self.note(Operation(kind, inside))

        return change

    def _plain(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def change(descriptor: int, *rest: Any) -> Any:
            self.step()
            return real(descriptor, *rest)

        return change


class _File(io.FileIO):
    """A file that tells the disk when it is made and written."""

    def __init__(self, disk: Disk, path: Any, mode: str, inside: str) -> None:
        disk.step(path)
        is_new = not os.path.exists(path)
        super().__init__(path, mode)
        self._disk = disk
        self._inside = inside
        if is_new:
            self._file: int | None = disk.made(self.fileno())
            disk.note(Operation("create", inside, self._file))
        else:
            self._file = disk.file(self.fileno())

    def write(self, data: Any) -> int:
        self._disk.step()
        end = os.fstat(self.fileno()).st_size
        offset = end if "a" in self.mode else self.tell()
        written = super().write(data)
        if self._file is not None:
            content = bytes(data)[:written]
            self._disk.note(Operation("write", self._inside, self._file, "", offset, content))
        return written


# ---------------------------------------------------------------- after a loss of power
State = Mapping[str, bytes]  # content of every file, by its path
Entries = tuple[tuple[str, bytes], ...]  # those of a state, sorted
POLICIES = ("all", "synchronised", "names only", "some")


def states(operations: Sequence[Operation], seed: int = 0) -> dict[Entries, str]:
    """The folder after a loss of power at every operation, each state once, with its origin.

    At every operation the disk has kept all of them, with half of the last one if it writes; what
    was synchronised; that and the names of all files, with nothing in them; and that with a random
    part of the rest.
    """
    found: dict[Entries, str] = {}
    for end in range(len(operations) + 1):
        for policy in POLICIES:
            state = state_after(operations[:end], policy, random.Random(f"{seed} {end}"))
            key = tuple(sorted(state.items()))
            found.setdefault(key, f"{policy} of {end} of {len(operations)} operations")
    return found


def state_after(operations: Sequence[Operation], policy: str, draw: random.Random) -> State:
    """The folder after a loss of power that follows some operations."""
    safe = _safe(operations)
    folders = {""}
    names: dict[str, int] = {}
    contents: dict[int, bytearray] = {}
    for number, operation in enumerate(operations):
        is_data = operation.kind == "write"
        kept = number in safe or policy == "all" or (policy == "names only" and not is_data)
        if not kept and (policy != "some" or draw.random() < 0.5):
            continue
        is_torn = policy == "all" and number == len(operations) - 1
        _apply(operation, folders, names, contents, is_torn)
    state = {}
    for path, file in names.items():
        if os.path.dirname(path) in folders:
            state[path] = bytes(contents.get(file, b""))
    return state


def _safe(operations: Sequence[Operation]) -> set[int]:
    """Numbers of the operations that a later one has written to the disk."""
    safe: set[int] = set()
    data: dict[int, list[int]] = {}
    entries: dict[str, list[int]] = {}
    for number, operation in enumerate(operations):
        if operation.kind == "write":
            data.setdefault(operation.file, []).append(number)
        elif operation.kind == "sync":
            safe.update(data.pop(operation.file, []))
        elif operation.kind == "sync_folder":
            safe.update(entries.pop(operation.path, []))
        else:
            entries.setdefault(os.path.dirname(operation.path), []).append(number)
    return safe


def _apply(
    operation: Operation,
    folders: set[str],
    names: dict[str, int],
    contents: dict[int, bytearray],
    is_torn: bool,
) -> None:
    path, target = operation.path, operation.target
    if operation.kind == "create":
        names[path] = operation.file
    elif operation.kind == "write":
        data = operation.data[: len(operation.data) // 2] if is_torn else operation.data
        content = contents.setdefault(operation.file, bytearray())
        content.extend(bytes(max(0, operation.offset - len(content))))
        content[operation.offset : operation.offset + len(data)] = data
    elif operation.kind == "rename":
        if operation.file >= 0:
            names.pop(path, None)
            names[target] = operation.file
        for inner in [name for name in names if name.startswith(path + os.sep)]:
            names[target + inner[len(path) :]] = names.pop(inner)
        if path in folders:
            folders.remove(path)
            folders.add(target)
    elif operation.kind == "unlink":
        names.pop(path, None)
    elif operation.kind == "mkdir":
        folders.add(path)
    elif operation.kind == "rmdir":
        folders.discard(path)


def restore(state: State, root: Path) -> None:
    """Make a folder as it is after a loss of power."""
    for path, content in state.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
