"""The memory's file: what counts against the budget, byte for byte.

Little-endian, in this order: magic, version u8, crc32 u32 of the rest, header (numbers, strings, policy counters),
side_info, labels, lengths (LEB128; only for formats of unequal length), extras, payload. Exemplars are in the policy's
canonical order. The header's size depends on nothing that changes while the memory is in use.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seit_cl.core.errors import UserError
from seit_cl.core.files import atomic_file
from seit_cl.formats.base import FormatContext

_MAGIC = b"SEITMEM"
_VERSION = 1
_START = struct.Struct("<7sBI")
_NUMBERS = struct.Struct("<QIIIIIIQQQQBI")
_FLAG_FULL = 1


@dataclass(frozen=True)
class TensorSpec:
    """What a strategy stores beside each exemplar.

    Args:
        dtype: a numpy dtype's name, e.g. "float16".
        shape: per exemplar, e.g. (C,).

    Raises:
        UserError: not a dtype of numbers.
    """

    dtype: str
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        try:
            known = np.dtype(self.dtype).kind in "biuf"
        except TypeError:
            known = False
        if not known:
            raise UserError(
                f"{self.dtype!r} is no dtype that a memory stores; write e.g. 'float16'"
            )

    @property
    def numpy(self) -> np.dtype[np.generic]:
        """The little-endian numpy dtype."""
        return np.dtype(self.dtype).newbyteorder("<")

    @property
    def nbytes(self) -> int:
        """Bytes per exemplar."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.numpy.itemsize


def write_stores(exemplar_fields: Mapping[str, TensorSpec]) -> str:
    """The extras spec as text, e.g. "logits=float16:10;step=int32:".

    Raises:
        ValueError: a name that is no identifier.
    """
    if not all(name.isidentifier() for name in exemplar_fields):
        raise ValueError(f"extras {sorted(exemplar_fields)}: names must be identifiers")
    return ";".join(
        f"{k}={v.dtype}:{'x'.join(map(str, v.shape))}" for k, v in exemplar_fields.items()
    )


def read_stores(text: str) -> dict[str, TensorSpec]:
    """The inverse of `write_stores`."""
    exemplar_fields = {}
    for part in filter(None, text.split(";")):
        name, _, rest = part.partition("=")
        dtype, _, shape = rest.partition(":")
        exemplar_fields[name] = TensorSpec(dtype, tuple(int(n) for n in shape.split("x") if n))
    return exemplar_fields


@dataclass(frozen=True)
class Head:
    """Everything in the file before labels and records.

    Args:
        budget: bytes; seed, offered, skipped: the policy's; count: exemplars N; full: whether the memory has been full.
        context: what rebuilds the format together with `spec`.
        counters: (C,) or (0,) uint32, the policy's.
        side_info: what the format fitted to data.
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
    exemplar_fields: str
    counters: NDArray[np.uint32]
    side_info: bytes

    def to_bytes(self) -> bytes:
        """The header with side_info, without magic, version and checksum."""
        c = self.context
        flags = _FLAG_FULL if self.full else 0
        numbers = _NUMBERS.pack(
            self.budget,
            c.codes,
            *c.grid,
            c.resolution,
            c.classes,
            self.seed,
            self.offered,
            self.skipped,
            self.count,
            flags,
            len(self.side_info),
        )
        texts = [
            text.encode() for text in (self.spec, c.tokenizer, self.policy, self.exemplar_fields)
        ]
        strings = b"".join(struct.pack("<H", len(text)) + text for text in texts)
        counters = struct.pack("<I", len(self.counters)) + self.counters.astype("<u4").tobytes()
        return numbers + strings + counters + self.side_info

    @property
    def header_bytes(self) -> int:
        """Bytes before side_info, magic, version and checksum included."""
        return _START.size + len(self.to_bytes()) - len(self.side_info)


def read_head(body: memoryview) -> tuple[Head, memoryview]:
    """The head and what follows it.

    Raises:
        struct.error, ValueError: the body is cut or makes no sense.
    """
    numbers = _NUMBERS.unpack_from(body)
    budget, codes, g, h, w, side, classes, seed, offered, skipped, count, flags, side_bytes = (
        numbers
    )
    rest = body[_NUMBERS.size :]
    texts = []
    for _ in range(4):
        (length,) = struct.unpack_from("<H", rest)
        texts.append(bytes(rest[2 : 2 + length]).decode())
        rest = rest[2 + length :]
    spec, tokenizer, policy, exemplar_fields = texts
    (width,) = struct.unpack_from("<I", rest)
    counters = np.frombuffer(rest[4 : 4 + 4 * width], "<u4").astype(np.uint32)
    rest = rest[4 + 4 * width :]
    context = FormatContext(side, classes, codes, (g, h, w), tokenizer)
    full = bool(flags & _FLAG_FULL)
    side_info = bytes(rest[:side_bytes])
    head = Head(
        budget,
        seed,
        offered,
        skipped,
        count,
        full,
        context,
        spec,
        policy,
        exemplar_fields,
        counters,
        side_info,
    )
    return head, rest[side_bytes:]


def label_dtype(classes: int) -> np.dtype[np.generic]:
    """A label's fixed width: 1 byte up to 256 classes, 2 up to 65,536, else 4."""
    return np.dtype("<u1" if classes <= 256 else "<u2" if classes <= 1 << 16 else "<u4")


def varint_bytes(length: int) -> int:
    """Bytes of a length as LEB128."""
    return max(1, (length.bit_length() + 6) // 7)


def write_varints(values: NDArray[np.int64]) -> bytes:
    """Non-negative integers as LEB128, one after the other."""
    out = bytearray()
    for value in values.tolist():
        while value > 127:
            out.append(value & 127 | 128)
            value >>= 7
        out.append(value)
    return bytes(out)


def read_varints(data: NDArray[np.uint8], count: int) -> tuple[NDArray[np.int64], int]:
    """`count` integers and the bytes that they took.

    Raises:
        ValueError: the data ends before.
    """
    ends = np.flatnonzero(data[: 10 * count] < 128)[:count]
    if len(ends) < count:
        raise ValueError("lengths are cut")
    if count == 0:
        return np.zeros(0, np.int64), 0
    used = int(ends[-1]) + 1
    starts = np.concatenate([[0], ends[:-1] + 1])
    shift = 7 * (np.arange(used) - np.repeat(starts, ends - starts + 1))
    return np.add.reduceat((data[:used] & 127).astype(np.int64) << shift, starts), used


@dataclass(frozen=True)
class Parts:
    """The file's exemplars, in canonical order.

    Args:
        labels: (N,); lengths: (N,) int64, bytes of each record.
        extras: by name, (N, *shape).
        payload: (total bytes,) uint8, the records one after the other.
    """

    labels: NDArray[np.int64]
    lengths: NDArray[np.int64]
    extras: Mapping[str, NDArray[np.generic]]
    payload: NDArray[np.uint8]


def write_exemplars(parts: Parts, classes: int, fixed: bool) -> bytes:
    """Labels, lengths (unless `fixed`), extras and payload."""
    lengths = b"" if fixed else write_varints(parts.lengths)
    labels = parts.labels.astype(label_dtype(classes)).tobytes()
    return b"".join(
        [
            labels,
            lengths,
            *(column.tobytes() for column in parts.extras.values()),
            parts.payload.tobytes(),
        ]
    )


def read_exemplars(
    data: NDArray[np.uint8],
    count: int,
    classes: int,
    exemplar_fields: Mapping[str, TensorSpec],
    fixed_length: int | None,
) -> Parts:
    """The inverse of `write_exemplars`, for N = count.

    Raises:
        ValueError: the data is of another size, or a label is outside 0..C-1.
    """
    kind = label_dtype(classes)
    labels = np.frombuffer(data[: count * kind.itemsize], kind).astype(np.int64)
    data = data[count * kind.itemsize :]
    lengths = np.full(count, fixed_length or 0, np.int64)
    if fixed_length is None:
        lengths, used = read_varints(data, count)
        data = data[used:]
    extras = {}
    for name, spec in exemplar_fields.items():
        extras[name] = np.frombuffer(data[: count * spec.nbytes], spec.numpy).reshape(
            count, *spec.shape
        )
        data = data[count * spec.nbytes :]
    if (
        len(data) != lengths.sum()
        or len(labels) != count
        or (count and int(labels.max()) >= classes)
    ):
        raise ValueError("its parts do not fit together")
    return Parts(labels, lengths, extras, data)


def write_file(path: str | os.PathLike[str], body: bytes) -> None:
    """Write magic, version, checksum and body as one atomic file."""
    with atomic_file(path) as out:
        out.write(_START.pack(_MAGIC, _VERSION, zlib.crc32(body)))
        out.write(body)


def read_file(path: str | os.PathLike[str]) -> memoryview:
    """The body of a memory's file.

    Raises:
        UserError: no such file, not a memory, of another version, cut or damaged.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror}); give the path of a memory.bin"
        ) from None
    if len(data) < _START.size or data[: len(_MAGIC)] != _MAGIC:
        raise UserError(f"{path}: is no memory file; give the path of a memory.bin")
    _, version, checksum = _START.unpack_from(data)
    if version != _VERSION:
        raise UserError(
            f"{path}: memory file of version {version}; this seit_cl reads version {_VERSION}"
        )
    body = memoryview(data)[_START.size :]
    if zlib.crc32(body) != checksum:
        raise UserError(
            f"{path}: the memory file is cut or damaged (its checksum differs); write it again"
        )
    return body
