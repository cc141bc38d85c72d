"""Safetensors files with a digest of their contents, and those of others, which have none."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from seit_cl.core.digests import is_sealed, sealed, sealing_metadata, unsealed_metadata
from seit_cl.core.files import atomic_file

DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
ELEMENT_BYTES = {name: dtype.itemsize for dtype, name in DTYPES.items()}


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
    # The library's order: the largest elements first, so that all are aligned.
    names = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))
    parts = {name: tensors[name].detach().cpu().contiguous() for name in names}
    shapes = {name: (DTYPES[part.dtype], tuple(part.shape)) for name, part in parts.items()}
    contents = [_bytes_of(part) for part in parts.values()]
    header = sealed(tensor_header(shapes, sealing_metadata(metadata)), *contents)
    with atomic_file(path) as file:
        file.write(header)
        for content in contents:
            file.write(content)


def tensor_header(
    shapes: Mapping[str, tuple[str, tuple[int, ...]]], metadata: Mapping[str, str]
) -> bytes:
    """Make a safetensors header with its length.

    The layout is that of https://huggingface.co/docs/safetensors, section "Format".

    Args:
        shapes: data type as in DTYPES and shape of every tensor, in the order of the file.
        metadata: of the file.
    """
    entries: dict[str, Any] = {"__metadata__": dict(metadata)}
    start = 0
    for name, (dtype, shape) in shapes.items():
        end = start + ELEMENT_BYTES[dtype] * math.prod(shape)
        entries[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}
        start = end
    text = json.dumps(entries).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _bytes_of(tensor: Tensor) -> memoryview:
    """The bytes of a contiguous tensor, which are not copied."""
    content: memoryview = tensor.reshape(-1).view(torch.uint8).numpy().data
    return content


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
