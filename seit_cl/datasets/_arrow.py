"""Images in tables of the `datasets` library, which maps its files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from seit_cl.core.errors import UserError
from seit_cl.data.stored import ImageFile, StoredImage
from seit_cl.datasets._columns import Columns, choose_columns
from seit_cl.datasets._splits import VAL_NAMES


@dataclass(frozen=True, eq=False)
class ArrowRows:
    """The rows of a split.

    Args:
        table: a datasets.Dataset whose images are not decoded.
        columns: names of the columns.
        labels: (N,) integers or texts.
        sizes: (N,) int64, bytes of each image; -1 for one in a file of its own.
        changed: times of the last changes of the table's files in ns.
        where: the split in messages.
    """

    table: Any
    columns: Columns
    labels: np.ndarray
    sizes: np.ndarray
    changed: str
    where: str

    def image(self, row: int, start: str) -> StoredImage:
        """The image of a row, whose name begins with a text."""
        return ArrowImage(self, row, start)


@dataclass(frozen=True, slots=True, eq=False)
class ArrowImage(StoredImage):
    """An image file in a row.

    Args:
        rows: the split.
        row: position in it.
        label: name that starts with the split and the class; the row is added.
    """

    rows: ArrowRows
    row: int
    label: str

    def __str__(self) -> str:
        return f"{self.rows.where}, {self.name}"

    @property
    def name(self) -> str:
        """Split, class and row."""
        return f"{self.label}/{self.row:08d}"

    def read(self) -> bytes:
        """Take the bytes from the table, or from the file that it names.

        Raises:
            ValueError: the row has neither.
            OSError: the file cannot be read.
        """
        image = self.rows.table[self.row][self.rows.columns.image]
        if image is None or (image["bytes"] is None and image["path"] is None):
            raise ValueError("it is null")
        if image["bytes"] is None:
            path = Path(image["path"])
            return ImageFile(path, path.parent).read()  # which opens regular files alone
        return bytes(image["bytes"])

    def fingerprint(self) -> tuple[str, str]:
        """Size in bytes; times of the last changes of the table's files in ns."""
        size = int(self.rows.sizes[self.row])
        return str(size if size >= 0 else len(self.read())), self.rows.changed


def open_tables(location: str, config: str, revision: str) -> dict[str, Any]:
    """Open a folder of `save_to_disk`, or a data set on the hub, with the `datasets` library.

    Returns:
        The table to train on, and that to test on where there is one, by the names of the splits.

    Raises:
        UserError: it cannot be opened, or has no train split.
    """
    import datasets

    try:
        if (Path(location) / "dataset_dict.json").is_file():
            opened = datasets.load_from_disk(location)
        else:
            opened = datasets.load_dataset(location, config or None, revision=revision or None)
    except Exception as error:  # of the network, the hub and the library
        reason = " ".join(str(error).split())[:300]
        raise UserError(
            f"huggingface:{location}: cannot be opened ({reason}); give a folder, or a name on the "
            "hub that this machine can download"
        ) from error
    if "train" not in opened:
        raise UserError(f"huggingface:{location}: has {', '.join(opened)}, and no train split")
    val_names = [name for name in VAL_NAMES if name in opened]
    return {name: opened[name] for name in ("train", *val_names[:1])}


def read_table(table: Any, image: str, label: str, where: str) -> ArrowRows:
    """Choose the columns of a table and read its labels.

    Raises:
        UserError: columns that are missing or of other types.
    """
    import datasets
    import pyarrow.compute as pc

    features = table.features.to_dict()
    columns = choose_columns(features, table.column_names, image, label, where)
    if not isinstance(table.features[columns.image], datasets.Image):
        raise UserError(f"{where}: its column {columns.image} is no datasets.Image; name another")
    arrow = table.with_format("arrow")[:]
    labels = arrow[columns.label]
    if labels.null_count:
        raise UserError(f"{where}: {labels.null_count} rows have no {columns.label}")
    encoded = table.cast_column(columns.image, datasets.Image(decode=False))
    sizes = pc.binary_length(pc.struct_field(arrow[columns.image], "bytes"))
    files = sorted(file["filename"] for file in table.cache_files)
    changed = "+".join(str(Path(file).stat().st_mtime_ns) for file in files)
    lengths = sizes.fill_null(-1).to_numpy().astype(np.int64)
    return ArrowRows(encoded, columns, labels.to_numpy(), lengths, changed, where)
