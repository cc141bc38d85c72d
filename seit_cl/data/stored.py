"""Stored images: the images of a dataset, each read when it is asked for."""

from __future__ import annotations

import errno
import io
import os
import stat
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, ClassVar

import numpy as np

from seit_cl.core.errors import UserError


class StoredImage(ABC):
    """An image of a dataset: an image file, a part of an archive, or an array of pixels.

    It is small and picklable, and any thread may read it. `str` names it in messages.

    Attributes:
        has_file: False for arrays of pixels, which have no bytes of an image file.
    """

    __slots__ = ()
    has_file: ClassVar[bool] = True

    @property
    @abstractmethod
    def name(self) -> str:
        """Name relative to the dataset, the same on every machine, e.g. "train/cat/1.jpg"."""

    @abstractmethod
    def read(self) -> bytes:
        """Read the bytes of the image file.

        Raises:
            UserError: the dataset has no image files, or an archive cannot be read.
            OSError: the file cannot be read.
        """

    @abstractmethod
    def fingerprint(self) -> tuple[str, str]:
        """Two texts that tell images of one name apart, found without reading them.

        Returns:
            A text about the contents that is the same on every machine, such as the number of
            bytes, and one about this copy, such as the time of its last change.

        Raises:
            UserError: the file is missing.
        """

    def open(self) -> BinaryIO:
        """Open the image file, for readers that need a part of it."""
        return io.BytesIO(self.read())

    def pixels(self) -> np.ndarray | None:
        """Pixels (H, W, 3) uint8 of an image that is an array; None where there is a file."""
        return None


def open_regular(path: Path) -> int:
    """Open a regular file for reading, and nothing else: a pipe would wait for a writer for ever.

    Returns:
        Its descriptor.

    Raises:
        OSError: it cannot be opened, or is a folder, pipe, socket or device.
    """
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
    descriptor = os.open(path, flags)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file")
    return descriptor


@dataclass(frozen=True, slots=True)
class ImageFile(StoredImage):
    """An image file.

    Args:
        path: the file.
        root: the folder that its name is relative to.
    """

    path: Path
    root: Path

    def __str__(self) -> str:
        return str(self.path)

    @property
    def name(self) -> str:
        """The path below the root, with slashes."""
        return self.path.relative_to(self.root).as_posix()

    def read(self) -> bytes:
        """Read the file with few system calls: other threads may take the interpreter in each."""
        descriptor = open_regular(self.path)
        try:
            missing = os.fstat(descriptor).st_size
            parts = []
            while missing > 0 and (part := os.read(descriptor, missing)):
                parts.append(part)
                missing -= len(part)
            return b"".join(parts)
        finally:
            os.close(descriptor)

    def open(self) -> BinaryIO:
        """Open the file."""
        return os.fdopen(open_regular(self.path), "rb")

    def fingerprint(self) -> tuple[str, str]:
        """Size in bytes, and time of the last change in ns.

        Raises:
            UserError: the file is gone, or cannot be looked at.
        """
        try:
            found = self.path.stat()
        except OSError as error:
            raise UserError(
                f"{self.path}: cannot be read ({error.strerror}); restore it or start again"
            ) from error
        return str(found.st_size), str(found.st_mtime_ns)
