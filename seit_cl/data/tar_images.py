"""Images in tar archives, read in place: an archive is indexed once and never unpacked."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from seit_cl.core.cache import cache_folder
from seit_cl.core.digests import damaged, has_trailer, with_trailer
from seit_cl.core.errors import UserError, one_line
from seit_cl.core.files import write_atomic
from seit_cl.core.notes import note
from seit_cl.data.stored import StoredImage

VERSION = 2  # of the indices in the cache
AGAIN = "the archive is listed again"


class Member(NamedTuple):
    """A file in an archive.

    Args:
        name: as in the archive, with the inner archive's name first where there are two.
        offset, size: its bytes in the archive.
    """

    name: str
    offset: int
    size: int


@dataclass(frozen=True, eq=False)
class TarArchive:
    """A tar archive.

    Args:
        path: the file.
        size: of the file in bytes.
        changed: time of its last change in ns.
    """

    path: Path
    size: int
    changed: int

    @classmethod
    def of(cls, path: Path) -> TarArchive:
        """Look at an archive without reading it.

        Raises:
            UserError: it is missing.
        """
        try:
            stat = path.stat()
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror})") from error
        return cls(path, stat.st_size, stat.st_mtime_ns)

    def members(self, nested: bool = False) -> list[Member]:
        """List the files in the archive; the list is kept in the cache folder.

        Args:
            nested: the archive holds archives, whose files are listed.

        Raises:
            UserError: the archive is damaged or cut.
        """
        key = f"v{VERSION}\0{self.path.resolve()}\0{self.size}\0{self.changed}\0{nested}"
        digest = hashlib.sha256(key.encode(errors="surrogateescape")).hexdigest()[:16]
        cached = cache_folder() / "indices" / f"{digest}.npz"
        found = _read_index(cached)
        if found is None:
            try:
                found = list(self._scan(nested))
            except UserError:
                raise
            except Exception as error:
                raise self._damaged(one_line(error)) from error
            _write_index(cached, found)
        return found

    def _scan(self, nested: bool) -> Iterator[Member]:
        whole = Member("", 0, self.size)
        for member in _scan_part(self.path, whole):
            if member.offset + member.size > self.size:
                raise self._damaged(f"it ends within {member.name}")
            if nested and member.name.endswith(".tar"):
                folder = member.name.removesuffix(".tar")
                for inner in _scan_part(self.path, member):
                    if inner.offset + inner.size > member.offset + member.size:
                        raise self._damaged(f"{member.name} ends within {inner.name}")
                    yield inner._replace(name=f"{folder}/{inner.name}")
            elif not nested:
                yield member

    def read(self, offset: int, size: int) -> bytes:
        """Read a part of the archive.

        Raises:
            UserError: it cannot be read, or is shorter.
        """
        if offset + size > self.size:
            raise self._damaged("it is shorter than its index says")
        try:
            descriptor = os.open(self.path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
            try:
                data = os.pread(descriptor, size, offset)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise self._damaged(error.strerror or str(error)) from error
        if len(data) < size:
            raise self._damaged("it has become shorter")
        return data

    def _damaged(self, reason: str) -> UserError:
        return UserError(
            f"{self.path}: cannot be read as a tar archive ({reason}); download it again"
        )


@dataclass(frozen=True, slots=True, eq=False)
class TarImage(StoredImage):
    """An image file in a tar archive.

    Args:
        archive: the archive.
        offset, size: the file's bytes in it.
        name: the image's name.
    """

    archive: TarArchive
    offset: int
    size: int
    name: str  # type: ignore[misc]

    def __str__(self) -> str:
        return f"{self.archive.path}, {self.name}"

    def read(self) -> bytes:
        """Read the file."""
        return self.archive.read(self.offset, self.size)

    def open(self) -> BinaryIO:
        """Open the file as a part of the archive."""
        return _open_part(self.archive.path, self.offset, self.size)

    def fingerprint(self) -> tuple[str, str]:
        """Size in bytes; place in the archive and time of the archive's last change in ns."""
        return str(self.size), f"{self.offset}\0{self.archive.changed}"


class _Part(io.RawIOBase):
    """A part of a file, as a file."""

    def __init__(self, path: Path, offset: int, size: int) -> None:
        self._file = path.open("rb", buffering=0)
        self._offset = offset
        self._size = size
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise OSError("seek to before the start")
        self._position = start + offset
        return self._position

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        count = max(0, min(len(view), self._size - self._position))
        self._file.seek(self._offset + self._position)
        read = self._file.readinto(view[:count]) or 0
        self._position += read
        return read

    def close(self) -> None:
        self._file.close()
        super().close()


def _open_part(path: Path, offset: int, size: int) -> BinaryIO:
    return io.BufferedReader(_Part(path, offset, size))


def _scan_part(path: Path, part: Member) -> Iterator[Member]:
    """Files of the archive that lies in a part of a file."""
    with (
        _open_part(path, part.offset, part.size) as file,
        tarfile.open(fileobj=file, mode="r:") as archive,
    ):
        while (info := archive.next()) is not None:
            archive.members.clear()  # type: ignore[attr-defined]  # it would grow
            if info.isreg():
                yield Member(info.name, part.offset + info.offset_data, info.size)


def _read_index(path: Path) -> list[Member] | None:
    """Members from the cache; None where they are not there or damaged."""
    if not path.is_file():
        return None
    try:
        data = path.read_bytes()
        if not has_trailer(data, path, AGAIN):
            raise damaged(path, AGAIN)
        with np.load(io.BytesIO(data), allow_pickle=False) as index:
            names = index["names"].tobytes().decode(errors="surrogateescape").split("\0")
            places = index["places"].tolist()
    except Exception:  # it is made again
        note(f"{path}: damaged; {AGAIN}")
        return None
    if not places:
        return []
    if len(names) != len(places):
        return None
    return [Member(name, *place) for name, place in zip(names, places, strict=True)]


def _write_index(path: Path, members: list[Member]) -> None:
    """Keep members in the cache, where it can be written."""
    names = "\0".join(member.name for member in members).encode(errors="surrogateescape")
    places = np.array([(member.offset, member.size) for member in members], np.int64)
    buffer = io.BytesIO()
    np.savez(buffer, names=np.frombuffer(names, np.uint8), places=places.reshape(-1, 2))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, with_trailer(buffer.getvalue()))
    except OSError:
        return  # it is made again the next time


ImageOf = Callable[[int, str], StoredImage]


def tar_image_maker(archives: list[TarArchive], members: list[Member], stems: list[str]) -> ImageOf:
    """Make images of rows, for `Labelled`.

    Args:
        archives: (N,) the archive of every image.
        members: (N,) its place there.
        stems: (N,) the ends of the images' names.
    """

    def image(row: int, start: str) -> StoredImage:
        member = members[row]
        return TarImage(archives[row], member.offset, member.size, f"{start}/{stems[row]}")

    return image
