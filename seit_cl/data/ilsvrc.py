"""ILSVRC 2012's validation images as they are handed out: all in val/, with their classes in a file beside.

Labels are read from the devkit (ILSVRC2012_devkit_t12, unpacked or as its tar.gz) or from Kaggle's LOC_val_solution.csv. In the
devkit, line i of the ground truth is the ILSVRC2012_ID of image i, and meta.mat says which wnid that is (its readme.txt).
"""

from __future__ import annotations

import csv
import io
import tarfile
from collections.abc import Collection
from pathlib import Path

import numpy as np
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from seit_cl.core.errors import UserError
from seit_cl.data.listing import Files, image_files, some_names, subfolders

PREFIX = "ILSVRC2012_val_"
DEVKIT = "ILSVRC2012_devkit_t12"
META, TRUTH = "data/meta.mat", "data/ILSVRC2012_validation_ground_truth.txt"
SOLUTION = "LOC_val_solution.csv"
KAGGLE = (
    "ILSVRC",
    "Data",
    "CLS-LOC",
)  # where Kaggle's archive has train/ and val/; its SOLUTION lies beside ILSVRC/


def is_flat(folder: Path) -> bool:
    """Whether a val folder has ILSVRC's images directly in it."""
    return any(path.name.startswith(PREFIX) for path in image_files(folder))


def list_flat(root: Path, classes: Collection[str]) -> Files:
    """The images of a flat val folder by class.

    Args:
        root: holds val/, and beside it the labels.
        classes: wnids that are wanted: where train/ has some of the 1,000, the others' images are left out.

    Raises:
        UserError: no labels, labels that do not fit the images, or class folders beside the images.
    """
    folder = root / "val"
    if subfolders(folder):
        raise UserError(
            f"{folder}: has class folders and images beside them; move the images into their folders, or all out"
        )
    images = {path.stem: path for path in image_files(folder) if path.name.startswith(PREFIX)}
    source, wnids = read_labels(root, len(images))
    for have, lack, odd in (
        ("an image", "no label", images.keys() - wnids),
        ("a label", "no image", wnids.keys() - images),
    ):
        if odd:
            raise UserError(
                f"{source}: does not fit {folder}: {have} but {lack} for {some_names(odd)}; unpack both anew"
            )
    files: Files = {name: [] for name in sorted(set(classes) & set(wnids.values()))}
    for stem in sorted(images):
        if wnids[stem] in files:
            files[wnids[stem]].append(images[stem])
    return files


def read_labels(root: Path, images: int) -> tuple[Path, dict[str, str]]:
    """Where the labels of a flat val folder are, and the wnid of each image's name without its suffix.

    Args:
        root: holds val/.
        images: how many images there are.

    Raises:
        UserError: none are found, or they cannot be read.
    """
    kaggle = [root.resolve().parents[2]] if root.resolve().parts[-3:] == KAGGLE else []
    for place in (root, root / "val", *kaggle):
        if (place / DEVKIT).is_dir():
            return place / DEVKIT, _devkit(place / DEVKIT, images)
        if (place / f"{DEVKIT}.tar.gz").is_file():
            return place / f"{DEVKIT}.tar.gz", _devkit(place / f"{DEVKIT}.tar.gz", images)
        if (place / SOLUTION).is_file():
            return place / SOLUTION, _solution(place / SOLUTION)
    raise UserError(
        f"{root / 'val'}: has {PREFIX}* images without class folders and no labels; put {DEVKIT}.tar.gz or Kaggle's "
        f"{SOLUTION} into {root}"
    )


def _devkit(devkit: Path, images: int) -> dict[str, str]:
    try:
        truth = [int(line) for line in _member(devkit, TRUTH).decode().split()]
        synsets = np.atleast_1d(
            loadmat(io.BytesIO(_member(devkit, META)), squeeze_me=True)["synsets"]
        )
        wnids = {
            int(i): str(wnid)
            for i, wnid in zip(synsets["ILSVRC2012_ID"], synsets["WNID"], strict=True)
        }
    except (
        OSError,
        EOFError,
        KeyError,
        ValueError,
        TypeError,
        IndexError,
        MatReadError,
        tarfile.TarError,
    ) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"{devkit}: its {META} or {TRUTH} cannot be read ({reason}); get it anew"
        ) from error
    if len(truth) != images:
        raise UserError(
            f"{devkit}: {TRUTH} has {len(truth):,} lines, and val/ {images:,} images; unpack both anew"
        )
    unknown = sorted(set(truth) - set(wnids))
    if unknown:
        raise UserError(
            f"{devkit}: {TRUTH} has number {unknown[0]}, and {META} no class of that ILSVRC2012_ID; get it anew"
        )
    return {f"{PREFIX}{number:08d}": wnids[label] for number, label in enumerate(truth, 1)}


def _member(devkit: Path, name: str) -> bytes:
    if devkit.is_dir():
        return (devkit / name).read_bytes()
    with tarfile.open(devkit, "r:gz") as archive:
        file = archive.extractfile(f"{DEVKIT}/{name}")
        if file is None:
            raise KeyError(name)
        return file.read()


def _solution(path: Path) -> dict[str, str]:
    """Kaggle's table: ImageId, and in PredictionString the wnid and four numbers for every box."""
    wnids: dict[str, str] = {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                wnids[row["ImageId"]] = row["PredictionString"].split()[0]
    except (OSError, UnicodeDecodeError, csv.Error, KeyError, AttributeError, IndexError) as error:
        raise UserError(
            f"{path}, line {len(wnids) + 2}: not ImageId,PredictionString ({error}); get it anew"
        ) from error
    return wnids
