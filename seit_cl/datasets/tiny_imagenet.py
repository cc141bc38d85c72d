"""Tiny-ImageNet as its archive unpacks: val/images/* with val/val_annotations.txt."""

from __future__ import annotations

from pathlib import Path

from seit_cl.core.specs import NoOptions
from seit_cl.data.base import Dataset
from seit_cl.data.folder import ANNOTATIONS, list_folder
from seit_cl.datasets.base import DatasetContext, DatasetPlugin


class TinyImageNet(DatasetPlugin):
    """The folder tiny-imagenet-200 (Le and Yang, CS231N, 2015)."""

    source = "Le and Yang, CS231N, 2015"
    layout = f"train/<class>/images/*, and val/images/* with val/{ANNOTATIONS}"

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """True for a folder with the labels of its val split."""
        return (path / "val" / ANNOTATIONS).is_file()

    @classmethod
    def build(cls, options: NoOptions, context: DatasetContext) -> Dataset:
        """List the folder (seit_cl.data.folder)."""
        return list_folder(context.path, context.holdout)


DATASET = TinyImageNet
