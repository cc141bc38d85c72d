"""Safetensors files with a digest of their contents, and those of others, which have none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from seit_cl.core.digests import is_sealed, sealed, sealing_metadata, unsealed_metadata
from seit_cl.core.files import write_atomic


@dataclass(frozen=True)
class TensorFile:
    """Contents of a safetensors file.

    Args:
        tensors: by name, mapped from the file.
        metadata: of its header, without the digest.
        has_digest: True if the contents were compared with a digest.
    """

    tensors: dict[str, Tensor]
    metadata: dict[str, str]
    has_digest: bool


def write_tensor_file(
    path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]
) -> None:
    """Write tensors and metadata with their digest, atomically.

    Args:
        path: the file.
        tensors: by name; made contiguous.
        metadata: of the header.

    Raises:
        OSError: the folder cannot be written.
    """
    contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
    write_atomic(path, sealed(save(contiguous, sealing_metadata(metadata))))


def read_tensor_file(path: Path, remedy: str) -> TensorFile:
    """Read a file, after comparing it with its digest where it has one.

    Args:
        path: the file.
        remedy: what to do about a damaged file, for the message.

    Raises:
        Damaged: the contents differ from the digest.
        OSError: it cannot be read.
        SafetensorError: it is no safetensors file.
    """
    has_digest = is_sealed(path, remedy)
    with safe_open(str(path), framework="pt") as file:
        names = file.keys()
        tensors = {name: file.get_tensor(name) for name in names}
        metadata = unsealed_metadata(file.metadata() or {})
    return TensorFile(tensors, metadata, has_digest)
