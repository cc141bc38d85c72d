"""The memory's file: everything that counts against the budget, byte for byte.

Little-endian, in this order: magic, version u8, crc32 u32 of the rest, header (numbers, the limit
on exemplars u32 if the flags say that there is one, strings, policy counters), side_info, labels,
record lengths (LEB128; only for formats of unequal length), exemplar fields, payload. Exemplars are
in the canonical order of the slot table. The size of the header depends on nothing that changes
over the memory's lifetime.
"""

from __future__ import annotations

import math
import os
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seit_cl.core.errors import UserError
from seit_cl.core.files import atomic_file
from seit_cl.core.limits import LONGEST_SIDE, MOST_CLASSES, MOST_CODES
from seit_cl.formats.base import FormatContext
from seit_cl.memory.exemplar_fields import TensorSpec
from seit_cl.memory.varints import read_varints, write_varints

_MAGIC = b"SEITMEM"
_VERSION = 1
_START = struct.Struct("<7sBI")  # magic, version, crc32
# budget; codes, G, H, W, resolution, classes; seed, offered, skipped, count; flags, side_info bytes
_NUMBERS = struct.Struct("<QIIIIIIQQQQBI")
_LIMIT = struct.Struct("<I")  # the most exemplars, in the files of memories that have a limit
_FLAG_FULL = 1
_FLAG_LIMIT = 2
_FLAG_LEVELS = 4


@dataclass(frozen=True)
class FileHeader:
    """The file's content before labels and records.

    Args:
        budget: bytes that the file may take.
        seed: of the policy's random words.
        offered: samples offered so far.
        skipped: samples whose record alone exceeded the budget.
        count: number of exemplars N.
        full: True if a sample has ever not fitted.
        context: rebuilds the format together with `spec`.
        spec: the format's canonical spec.
        policy: name of the selection policy.
        fields: the exemplar fields as text (see `seit_cl.memory.exemplar_fields`).
        counters: (C,) or (0,) uint32, the policy's.
        side_info: what the format fitted to data.
        max_exemplars: the most exemplars that the memory stores; 0: no limit.
        levels: True if records may have been cut to fewer levels; their lengths are stored then.
    """

    budget: int
    seed: int
    offered: int
    skipped: int
    count: int
    full: bool
    context: FormatContext
    spec: str
    policy: str
    fields: str
    counters: NDArray[np.uint32]
    side_info: bytes
    max_exemplars: int = 0
    levels: bool = False

    @property
    def nbytes(self) -> int:
        """Bytes of the file before side_info, with magic, version and checksum."""
        return _START.size + len(self.to_bytes()) - len(self.side_info)

    def to_bytes(self) -> bytes:
        """Encode the header with side_info, without magic, version and checksum."""
        flags = _FLAG_FULL if self.full else 0
        if self.max_exemplars:
            flags |= _FLAG_LIMIT
        if self.levels:
            flags |= _FLAG_LEVELS
        numbers = _NUMBERS.pack(
            self.budget,
            self.context.codes,
            *self.context.grid,
            self.context.resolution,
            self.context.classes,
            self.seed,
            self.offered,
            self.skipped,
            self.count,
            flags,
            len(self.side_info),
        )
        parts = [numbers]
        if self.max_exemplars:
            parts.append(_LIMIT.pack(self.max_exemplars))
        for text in (self.spec, self.context.tokenizer, self.policy, self.fields):
            encoded = text.encode()
            parts.append(struct.pack("<H", len(encoded)) + encoded)
        parts.append(struct.pack("<I", len(self.counters)))
        parts.append(self.counters.astype("<u4").tobytes())
        parts.append(self.side_info)
        return b"".join(parts)


def read_header(body: memoryview) -> tuple[FileHeader, memoryview]:
    """Decode the header at the start of a file's body.

    Returns:
        The header, and the rest of the body.

    Raises:
        struct.error, ValueError: the body is cut off or inconsistent.
    """
    numbers = _NUMBERS.unpack_from(body)
    budget, codes, *grid, resolution, classes = numbers[:7]
    seed, offered, skipped, count, flags, side_info_bytes = numbers[7:]
    rest = body[_NUMBERS.size :]
    max_exemplars = 0
    if flags & _FLAG_LIMIT:
        (max_exemplars,) = _LIMIT.unpack_from(rest)
        rest = rest[_LIMIT.size :]
    texts = []
    for _ in range(4):
        (length,) = struct.unpack_from("<H", rest)
        texts.append(bytes(rest[2 : 2 + length]).decode())
        rest = rest[2 + length :]
    spec, tokenizer, policy, fields = texts
    (width,) = struct.unpack_from("<I", rest)
    counters_end = 4 + 4 * width
    counters = np.frombuffer(rest[4:counters_end], "<u4").astype(np.uint32)
    rest = rest[counters_end:]
    codes_per_position, height, columns = grid
    _check_numbers(classes, codes, grid, resolution, count, len(rest) - side_info_bytes)
    header = FileHeader(
        budget=budget,
        seed=seed,
        offered=offered,
        skipped=skipped,
        count=count,
        full=bool(flags & _FLAG_FULL),
        context=FormatContext(
            resolution, classes, codes, (codes_per_position, height, columns), tokenizer
        ),
        spec=spec,
        policy=policy,
        fields=fields,
        counters=counters,
        side_info=bytes(rest[:side_info_bytes]),
        max_exemplars=max_exemplars,
        levels=bool(flags & _FLAG_LEVELS),
    )
    return header, rest[side_info_bytes:]


def _check_numbers(
    classes: int, codes: int, grid: list[int], resolution: int, count: int, size: int
) -> None:
    """Refuse numbers that no memory has, before memory is taken for them.

    Args:
        classes, codes, grid, resolution, count: of the header.
        size: bytes after it. An exemplar has a label of one byte at least.

    Raises:
        ValueError: naming the number.
    """
    limits = {
        "classes": (classes, MOST_CLASSES),
        "codes": (codes, MOST_CODES),
        "codes of an image": (math.prod(grid), LONGEST_SIDE**2),
        "pixels on a side": (resolution, LONGEST_SIDE),
        "exemplars": (count, size),
    }
    for name, (value, most) in limits.items():
        if value > most:
            raise ValueError(f"{value:,} {name}, of at most {most:,}")


def label_dtype(classes: int) -> np.dtype[np.generic]:
    """Return the dtype of a label: 1 byte up to 256 classes, 2 bytes up to 65,536, else 4."""
    if classes <= 1 << 8:
        return np.dtype("<u1")
    if classes <= 1 << 16:
        return np.dtype("<u2")
    return np.dtype("<u4")


@dataclass(frozen=True)
class FileExemplars:
    """The file's exemplars, in canonical order.

    Args:
        labels: (N,) int64.
        lengths: (N,) int64, bytes of each record.
        fields: values (N, *shape) of each exemplar field.
        payload: (sum of lengths,) uint8, the records one after the other.
    """

    labels: NDArray[np.int64]
    lengths: NDArray[np.int64]
    fields: Mapping[str, NDArray[np.generic]]
    payload: NDArray[np.uint8]

    def each(self) -> Iterator[tuple[NDArray[np.uint8], int, dict[str, NDArray[np.generic]]]]:
        """Yield the record (n,), label and fields (*shape) of every exemplar."""
        start = 0
        rows = zip(self.labels.tolist(), self.lengths.tolist(), strict=True)
        for index, (label, length) in enumerate(rows):
            values = {name: array[index] for name, array in self.fields.items()}
            yield self.payload[start : start + length], label, values
            start += length

    def parts(self, classes: int, fixed_length: int | None) -> list[bytes | memoryview]:
        """Encode labels, lengths (unless fixed), fields and payload, which is not copied.

        Args:
            classes: number of classes C.
            fixed_length: length of every record, or None if lengths are stored.
        """
        parts: list[bytes | memoryview] = [self.labels.astype(label_dtype(classes)).tobytes()]
        if fixed_length is None:
            parts.append(write_varints(self.lengths))
        parts += [values.tobytes() for values in self.fields.values()]
        parts.append(self.payload.data)
        return parts


def read_exemplars(
    data: NDArray[np.uint8],
    count: int,
    classes: int,
    fields: Mapping[str, TensorSpec],
    fixed_length: int | None,
) -> FileExemplars:
    """Decode the bytes of `FileExemplars.parts`.

    Args:
        data: (L,) uint8, all bytes after the header.
        count: number of exemplars N.
        classes: number of classes C.
        fields: the exemplar fields.
        fixed_length: length of every record, or None if lengths are stored.

    Raises:
        ValueError: the data has another size, or a label is outside 0..C-1.
    """
    dtype = label_dtype(classes)
    shortest = dtype.itemsize + sum(spec.nbytes for spec in fields.values()) + (fixed_length or 0)
    if count * shortest > len(data):
        raise ValueError(f"{count:,} exemplars in {len(data):,} bytes")
    labels_end = count * dtype.itemsize
    labels = np.frombuffer(data[:labels_end], dtype).astype(np.int64)
    rest = data[labels_end:]
    if fixed_length is None:
        lengths, used = read_varints(rest, count)
        rest = rest[used:]
    else:
        lengths = np.full(count, fixed_length, np.int64)
    values = {}
    for name, spec in fields.items():
        end = count * spec.nbytes
        values[name] = np.frombuffer(rest[:end], spec.numpy).reshape(count, *spec.shape)
        rest = rest[end:]
    if len(labels) != count or len(rest) != lengths.sum():
        raise ValueError("its parts have other sizes than the header says")
    if count and int(labels.max()) >= classes:
        raise ValueError(f"label {int(labels.max())} of {classes} classes")
    return FileExemplars(labels, lengths, values, rest)


def write_body(path: str | os.PathLike[str], *body: bytes | memoryview) -> None:
    """Write a file of magic, version, checksum and the parts of its body, atomically.

    Raises:
        OSError: the folder cannot be written.
    """
    checksum = 0
    for part in body:
        checksum = zlib.crc32(part, checksum)
    with atomic_file(path) as file:
        file.write(_START.pack(_MAGIC, _VERSION, checksum))
        for part in body:
            file.write(part)


def read_body(path: str | os.PathLike[str]) -> memoryview:
    """Read the body of a file, everything after the checksum.

    Raises:
        UserError: no such file, not a memory, another version, or a damaged file.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror}); give the path of a memory.bin"
        ) from None
    if len(data) < _START.size or data[: len(_MAGIC)] != _MAGIC:
        raise UserError(f"{path}: is not a memory file; give the path of a memory.bin")
    _, version, checksum = _START.unpack_from(data)
    if version != _VERSION:
        raise UserError(
            f"{path}: memory file of version {version}; this seit_cl reads version {_VERSION}"
        )
    body = memoryview(data)[_START.size :]
    if zlib.crc32(body) != checksum:
        raise UserError(
            f"{path}: the memory file is cut off or damaged (its checksum differs); write it again"
        )
    return body
