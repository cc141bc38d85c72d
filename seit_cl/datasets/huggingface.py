"""Hugging Face data sets: folders of parquet as on the hub, saved ones, and names on the hub.

Parquet files are read by row groups, when an image of one is needed. A name such as
huggingface:clane9/imagenet-100 is opened by the `datasets` library, which downloads it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from seit_cl.core.extras import check_extra
from seit_cl.data.base import Dataset
from seit_cl.data.labelled import Labelled, labelled_dataset
from seit_cl.datasets._arrow import ArrowRows, open_tables, read_table
from seit_cl.datasets._columns import label_numbers
from seit_cl.datasets._parquet import ParquetRows, parquet_files, read_parquet
from seit_cl.datasets._splits import split_files
from seit_cl.datasets.base import DatasetContext, DatasetPlugin


@dataclass(frozen=True)
class HuggingFaceOptions:
    """Names of columns, and what to download.

    Args:
        image, label: columns; empty: those of the types Image and ClassLabel.
        config, revision: of a data set on the hub; empty: its default.
    """

    image: str = ""
    label: str = ""
    config: str = ""
    revision: str = ""


class HuggingFace(DatasetPlugin):
    """A data set with a column of images and one of labels."""

    source = "https://huggingface.co/docs/datasets"
    layout = (
        "data/train-*.parquet and data/validation-*.parquet, or a folder of save_to_disk, or "
        "huggingface:NAME on the hub"
    )
    Options = HuggingFaceOptions

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """True for parquet files, or a folder of `DatasetDict.save_to_disk`."""
        return bool(parquet_files(path)) or (path / "dataset_dict.json").is_file()

    @classmethod
    def build(cls, options: HuggingFaceOptions, context: DatasetContext) -> Dataset:
        """Read the columns of labels.

        Raises:
            UserError: no such data, a damaged file, or columns that are missing or no labels.
        """
        path = context.path
        files = parquet_files(path)
        typed = f"--data-root {path}"
        check_extra("pyarrow" if files else "datasets", "huggingface", typed)
        splits: list[ParquetRows | ArrowRows] = []
        if files:
            root = path.parent if path.is_file() else path
            for part in split_files(root, files):
                if part:
                    splits.append(read_parquet(part, options.image, options.label))
        else:
            tables = open_tables(context.location, options.config, options.revision)
            for split, table in tables.items():
                where = f"{context.location}, {split}"
                splits.append(read_table(table, options.image, options.label, where))
        classes = splits[0].columns.classes
        labels, names = label_numbers([rows.labels for rows in splits], classes)
        labelled = []
        for rows, values in zip(splits, labels, strict=True):
            labelled.append(Labelled(values, rows.image, rows.where))
        val = labelled[1] if len(labelled) > 1 else None
        name = path.name.removesuffix(".parquet")
        return labelled_dataset(name, path, names, labelled[0], val, context.holdout)


DATASET = HuggingFace
