"""Tensors that several processes map from one file, so that a machine holds them once."""

from __future__ import annotations

import math
import mmap
import multiprocessing.reduction
import os
import tempfile
import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from seit_cl.core.cache import cache_folder
from seit_cl.core.errors import UserError


class SharedTensor:
    """A tensor in a file without a name, which the system deletes with the last process.

    It can be an argument of a `multiprocessing.Process`. The new process maps the same memory; what
    it writes there by mistake stays its own. The file is in the cache folder: shared memory
    (/dev/shm) is often limited to 64 MB in a container.

    Args:
        shape: of the tensor, which is not empty.
        dtype: of its elements.

    Raises:
        UserError: the cache folder has no space for it.
    """

    def __init__(self, shape: tuple[int, ...], dtype: torch.dtype) -> None:
        folder = cache_folder()
        size = math.prod(shape) * dtype.itemsize
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder) as file:
                _reserve(file.fileno(), size)
                descriptor = os.dup(file.fileno())
        except OSError as error:
            raise UserError(
                f"{folder}: {size:,} bytes that the jobs share cannot be written "
                f"({error.strerror or error}); set SEIT_CL_CACHE to a folder with enough free space"
            ) from error
        self._map(descriptor, shape, dtype, mmap.ACCESS_WRITE)

    def _map(
        self, descriptor: int, shape: tuple[int, ...], dtype: torch.dtype, access: int
    ) -> None:
        self._descriptor = descriptor
        weakref.finalize(self, os.close, descriptor)
        self.tensor = torch.frombuffer(mmap.mmap(descriptor, 0, access=access), dtype=dtype)
        self.tensor = self.tensor.view(shape)

    @classmethod
    def of(cls, tensor: Tensor) -> SharedTensor:
        """Copy a tensor."""
        shared = cls(tuple(tensor.shape), tensor.dtype)
        shared.tensor.copy_(tensor)
        return shared

    def __reduce__(self) -> tuple[Callable[..., SharedTensor], tuple[Any, ...]]:
        """Give a process that is being started the open file."""
        descriptor = multiprocessing.reduction.DupFd(self._descriptor)
        return _attach, (descriptor, tuple(self.tensor.shape), self.tensor.dtype)


def _attach(descriptor: Any, shape: tuple[int, ...], dtype: torch.dtype) -> SharedTensor:
    """Map the tensor of another process; writing to it copies the page that is written to."""
    shared = SharedTensor.__new__(SharedTensor)
    shared._map(descriptor.detach(), shape, dtype, mmap.ACCESS_COPY)
    return shared


def _reserve(descriptor: int, size: int) -> None:
    """Give a file its size, and its space on the disk where the system can promise that.

    Raises:
        OSError: there is too little space. Without a promise, writing to the mapped file would end
            the process.
    """
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
    else:
        os.truncate(descriptor, size)
