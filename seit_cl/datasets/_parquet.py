"""Images in parquet files, of which one row group is read at a time."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from seit_cl.core.errors import UserError, reading
from seit_cl.data.stored import StoredImage
from seit_cl.datasets._columns import Columns, choose_columns

CACHED_BYTES = 1 << 28  # of row groups that were read last, in each process


def parquet_files(path: Path) -> list[Path]:
    """The parquet files of a path, sorted: itself, or those in a folder and its subfolders."""
    if path.is_file():
        return [path] if path.suffix == ".parquet" else []
    found: list[Path] = []
    for pattern in ("*.parquet", "*/*.parquet", "*/*/*.parquet"):
        found += path.glob(pattern)
    return sorted(file for file in found if not file.name.startswith("."))


@dataclass(frozen=True, eq=False)
class RowGroup:
    """A row group of a file.

    Args:
        path: the file.
        changed: time of its last change in ns.
        number: position in the file.
        size: bytes of the group in the file.
    """

    path: Path
    changed: int
    number: int
    size: int


@dataclass(frozen=True, eq=False)
class ParquetRows:
    """The rows of a split.

    Args:
        groups: all row groups.
        starts: (number of groups,) int64, the first row of each.
        columns: names of the columns.
        labels: (N,) integers or texts.
        where: the split in messages.
    """

    groups: list[RowGroup]
    starts: np.ndarray
    columns: Columns
    labels: np.ndarray
    where: str

    def image(self, row: int, start: str) -> StoredImage:
        """The image of a row, whose name begins with a text."""
        return ParquetImage(self, row, start)


@dataclass(frozen=True, slots=True, eq=False)
class ParquetImage(StoredImage):
    """An image file in a row.

    Args:
        rows: the split.
        row: position in it.
        label: name that starts with the split and the class; the row is added.
    """

    rows: ParquetRows
    row: int
    label: str

    def __str__(self) -> str:
        group, _ = self._place()
        return f"{group.path}, {self.name}"

    @property
    def name(self) -> str:
        """Split, class and row."""
        return f"{self.label}/{self.row:08d}"

    def read(self) -> bytes:
        """Read the row's group, if it is not among those read last, and take the bytes from it.

        Raises:
            ValueError: the row has no bytes.
            OSError: the group is damaged.
        """
        group, row = self._place()
        data = _read_group(group, self.rows.columns.image)[row].as_py()
        if data is None:
            raise ValueError("its bytes are null")
        return bytes(data)

    def fingerprint(self) -> tuple[str, str]:
        """Bytes of the row group; time of the file's last change in ns."""
        group, row = self._place()
        return f"{row}:{group.size}", str(group.changed)

    def _place(self) -> tuple[RowGroup, int]:
        """The row group, and the row in it."""
        number = int(np.searchsorted(self.rows.starts, self.row, "right")) - 1
        return self.rows.groups[number], self.row - int(self.rows.starts[number])


def read_parquet(files: list[Path], image: str, label: str) -> ParquetRows:
    """Open the files of a split and read its labels.

    Args:
        files: at least one.
        image, label: columns, or empty.

    Raises:
        UserError: a damaged file, or columns that are missing or of other types.
    """
    import pyarrow.parquet as pq

    groups: list[RowGroup] = []
    counts: list[int] = []
    labels: list[np.ndarray] = []
    columns: Columns | None = None
    for path in files:
        with reading(path, "cannot be read", "download it again"), pq.ParquetFile(path) as file:
            if columns is None:
                columns = _columns(file, image, label, path)
            _check_columns(file, columns, path)
            for number in range(file.num_row_groups):
                group = file.metadata.row_group(number)
                changed = path.stat().st_mtime_ns
                groups.append(RowGroup(path, changed, number, group.total_byte_size))
                counts.append(group.num_rows)
            read = file.read(columns=[columns.label], use_threads=False).column(0)
            if read.null_count:
                raise UserError(f"{path}: {read.null_count} rows have no {columns.label}")
            labels.append(read.to_numpy())
    assert columns is not None
    starts = np.cumsum([0, *counts[:-1]])
    return ParquetRows(groups, starts, columns, np.concatenate(labels), str(files[0].parent))


def _columns(file: Any, image: str, label: str, path: Path) -> Columns:
    """The columns that a file's own description names."""
    schema = file.schema_arrow
    described = (schema.metadata or {}).get(b"huggingface", b"{}")
    try:
        features = json.loads(described).get("info", {}).get("features", {})
    except Exception:  # a description of another library's
        features = {}
    return choose_columns(features, schema.names, image, label, str(path))


def _check_columns(file: Any, columns: Columns, path: Path) -> None:
    """Check that a file has the columns, with images as bytes.

    Raises:
        UserError: it has not.
    """
    import pyarrow as pa

    schema = file.schema_arrow
    for name in (columns.image, columns.label):
        if name not in schema.names:
            raise UserError(
                f"{path}: has no column {name!r}; its columns are {', '.join(schema.names)}"
            )
    kind = schema.field(columns.image).type
    if pa.types.is_struct(kind):
        kind = kind.field("bytes").type if kind.get_field_index("bytes") >= 0 else kind
    if not (pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
        raise UserError(
            f"{path}: its column {columns.image} is of type {kind}; image files are needed "
            "(datasets.Image)"
        )


_groups: OrderedDict[tuple[str, int, int], Any] = OrderedDict()  # the last row groups read
_groups_lock = threading.Lock()


def _read_group(group: RowGroup, column: str) -> Any:
    """The column of images of a row group, an Arrow array; the groups read last are kept."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    key = (str(group.path), group.changed, group.number)
    with _groups_lock:
        if key in _groups:
            _groups.move_to_end(key)
            return _groups[key]
        with pq.ParquetFile(group.path) as file:
            is_struct = pa.types.is_struct(file.schema_arrow.field(column).type)
            leaf = f"{column}.bytes" if is_struct else column
            table = file.read_row_group(group.number, columns=[leaf], use_threads=False)
        images = table.column(0).combine_chunks()
        if is_struct:
            images = images.field("bytes")
        _groups[key] = images
        total = sum(kept.nbytes for kept in _groups.values())
        while total > CACHED_BYTES and len(_groups) > 1:
            _, dropped = _groups.popitem(last=False)
            total -= dropped.nbytes
        return images
