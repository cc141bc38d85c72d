"""ILSVRC 2012 as it is handed out: its tar archives, or folders with a flat one of val images."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from seit_cl.core.errors import UserError
from seit_cl.core.specs import NoOptions
from seit_cl.data.base import Dataset
from seit_cl.data.folder import list_folder
from seit_cl.data.ilsvrc import DEVKIT, PREFIX, SOLUTION, is_flat, read_labels
from seit_cl.data.labelled import Labelled, labelled_dataset
from seit_cl.data.tar_images import Member, TarArchive, tar_image_maker
from seit_cl.datasets.base import DatasetContext, DatasetPlugin

TRAIN_TAR = "ILSVRC2012_img_train.tar"  # of one archive for each class, <wnid>.tar
VAL_TAR = "ILSVRC2012_img_val.tar"


class Ilsvrc(DatasetPlugin):
    """ILSVRC 2012 (Russakovsky et al., IJCV 2015)."""

    source = "Russakovsky et al., IJCV 2015"
    layout = (
        f"{TRAIN_TAR} and {VAL_TAR}, or train/<wnid>/* and val/*; with {DEVKIT}.tar.gz or Kaggle's "
        f"{SOLUTION}"
    )

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """True for a folder with the archive of train images, or val images directly in val/."""
        return (path / TRAIN_TAR).is_file() or is_flat(path / "val")

    @classmethod
    def build(cls, options: NoOptions, context: DatasetContext) -> Dataset:
        """List the folder (seit_cl.data.ilsvrc), or index the archives.

        Raises:
            UserError: a damaged archive, or labels that are missing or do not fit.
        """
        root = context.path
        if not (root / TRAIN_TAR).is_file():
            return list_folder(root, context.holdout)
        archive = TarArchive.of(root / TRAIN_TAR)
        members = archive.members(nested=True)
        folders = [member.name.split("/")[0] for member in members]
        classes = sorted(set(folders))
        position = {name: label for label, name in enumerate(classes)}
        train = _labelled(archive, members, [position[name] for name in folders])
        val = None
        if (root / VAL_TAR).is_file():
            val = _val(root, position)
        return labelled_dataset(root.resolve().name, root, classes, train, val, context.holdout)


def _val(root: Path, position: dict[str, int]) -> Labelled:
    """The val images of the classes, by their labels.

    Raises:
        UserError: labels that are missing or do not fit.
    """
    archive = TarArchive.of(root / VAL_TAR)
    members = [m for m in archive.members() if Path(m.name).name.startswith(PREFIX)]
    source, wnids = read_labels(root, len(members))
    chosen: list[Member] = []
    labels: list[int] = []
    for member in sorted(members):
        stem = Path(member.name).stem
        if stem not in wnids:
            raise UserError(
                f"{source}: does not fit {archive.path}: an image but no label for {stem}; "
                "download both again"
            )
        if wnids[stem] in position:
            chosen.append(member)
            labels.append(position[wnids[stem]])
    return _labelled(archive, chosen, labels)


def _labelled(archive: TarArchive, members: list[Member], labels: list[int]) -> Labelled:
    stems = [Path(member.name).name for member in members]
    image = tar_image_maker([archive] * len(members), members, stems)
    return Labelled(np.array(labels, np.int64), image, str(archive.path))


DATASET = Ilsvrc
