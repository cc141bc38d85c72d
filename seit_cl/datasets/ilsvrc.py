"""ILSVRC 2012 with its flat folder of val images, whose labels are in a separate file."""

from __future__ import annotations

from pathlib import Path

from seit_cl.core.specs import NoOptions
from seit_cl.data.base import Dataset
from seit_cl.data.folder import list_folder
from seit_cl.data.ilsvrc import DEVKIT, SOLUTION, is_flat
from seit_cl.datasets.base import DatasetContext, DatasetPlugin


class Ilsvrc(DatasetPlugin):
    """ILSVRC 2012 (Russakovsky et al., IJCV 2015) as it is handed out."""

    layout = f"train/<wnid>/*, and val/* with {DEVKIT}.tar.gz or Kaggle's {SOLUTION}"

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """True for a folder with ILSVRC's val images directly in val/."""
        return is_flat(path / "val")

    @classmethod
    def build(cls, options: NoOptions, context: DatasetContext) -> Dataset:
        """List the folder (seit_cl.data.ilsvrc)."""
        return list_folder(context.path, context.holdout)


DATASET = Ilsvrc
