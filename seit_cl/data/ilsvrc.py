"""ILSVRC 2012's validation images as distributed: all in one folder, labels in a separate file.

Labels come from the devkit (ILSVRC2012_devkit_t12, unpacked or as its tar.gz) or from Kaggle's
LOC_val_solution.csv. In the devkit, line i of the ground truth is the ILSVRC2012_ID of image i, and
meta.mat maps that number to a wnid (see its readme.txt).
"""

from __future__ import annotations

import csv
import io
import tarfile
from collections.abc import Collection, Iterable
from pathlib import Path

import numpy as np
from scipy.io import loadmat

from seit_cl.core.errors import UserError, one_line, reading
from seit_cl.data.listing import Files, image_files, some_names, subfolders

PREFIX = "ILSVRC2012_val_"
DEVKIT = "ILSVRC2012_devkit_t12"
META = "data/meta.mat"
TRUTH = "data/ILSVRC2012_validation_ground_truth.txt"
SOLUTION = "LOC_val_solution.csv"
# Kaggle's archive has train/ and val/ in this folder, and SOLUTION beside ILSVRC/.
KAGGLE = ("ILSVRC", "Data", "CLS-LOC")


def is_flat(folder: Path) -> bool:
    """Return True for a val folder that has ILSVRC's images directly in it."""
    return any(path.name.startswith(PREFIX) for path in image_files(folder))


def list_flat(root: Path, classes: Collection[str]) -> Files:
    """List the images of a flat val folder by class.

    Args:
        root: folder that has val/ and the labels.
        classes: wnids to list; images of others are left out, for a train/ with some of the 1,000.

    Raises:
        UserError: no labels, labels that do not fit the images, or class folders beside the images.
    """
    folder = root / "val"
    if subfolders(folder):
        raise UserError(
            f"{folder}: has class folders and images beside them; move the images into their "
            "folders, or all out"
        )
    images = {path.stem: path for path in image_files(folder) if path.name.startswith(PREFIX)}
    source, wnids = read_labels(root, len(images))
    problem = f"{source}: does not fit {folder}"
    _refuse_unmatched(f"{problem}: an image but no label", images.keys() - wnids)
    _refuse_unmatched(f"{problem}: a label but no image", wnids.keys() - images)
    files: Files = {name: [] for name in sorted(set(classes) & set(wnids.values()))}
    for stem in sorted(images):
        if wnids[stem] in files:
            files[wnids[stem]].append(images[stem])
    return files


def _refuse_unmatched(problem: str, names: Iterable[str]) -> None:
    """Refuse images without labels, or labels without images."""
    unmatched = set(names)
    if unmatched:
        raise UserError(f"{problem} for {some_names(unmatched)}; unpack both again")


def read_labels(root: Path, images: int) -> tuple[Path, dict[str, str]]:
    """Read the labels of a flat val folder.

    Args:
        root: folder that has val/.
        images: number of images in val/.

    Returns:
        The file or folder of the labels, and the wnid of each image, by file name without suffix.

    Raises:
        UserError: there are no labels, or they cannot be read.
    """
    places = [root, root / "val"]
    if root.resolve().parts[-3:] == KAGGLE:
        places.append(root.resolve().parents[2])
    for place in places:
        devkit = place / DEVKIT
        archive = place / f"{DEVKIT}.tar.gz"
        solution = place / SOLUTION
        if devkit.is_dir():
            return devkit, _read_devkit(devkit, images)
        if archive.is_file():
            return archive, _read_devkit(archive, images)
        if solution.is_file():
            return solution, _read_solution(solution)
    raise UserError(
        f"{root / 'val'}: has {PREFIX}* images without class folders and no labels; put "
        f"{DEVKIT}.tar.gz or Kaggle's {SOLUTION} into {root}"
    )


def _read_devkit(devkit: Path, images: int) -> dict[str, str]:
    with reading(devkit, f"its {META} or {TRUTH} cannot be read", "download it again"):
        truth = [int(line) for line in _read_member(devkit, TRUTH).decode().split()]
        meta = loadmat(io.BytesIO(_read_member(devkit, META)), squeeze_me=True)
        synsets = np.atleast_1d(meta["synsets"])
        wnids = {}
        for number, wnid in zip(synsets["ILSVRC2012_ID"], synsets["WNID"], strict=True):
            wnids[int(number)] = str(wnid)
    if len(truth) != images:
        raise UserError(
            f"{devkit}: {TRUTH} has {len(truth):,} lines, and val/ {images:,} images; "
            "unpack both again"
        )
    unknown = sorted(set(truth) - set(wnids))
    if unknown:
        raise UserError(
            f"{devkit}: {TRUTH} has number {unknown[0]}, and {META} no class of that "
            "ILSVRC2012_ID; download it again"
        )
    return {f"{PREFIX}{number:08d}": wnids[label] for number, label in enumerate(truth, 1)}


def _read_member(devkit: Path, name: str) -> bytes:
    """A file of the devkit, unpacked or in its archive."""
    if devkit.is_dir():
        return (devkit / name).read_bytes()
    with tarfile.open(devkit, "r:gz") as archive:
        file = archive.extractfile(f"{DEVKIT}/{name}")
        if file is None:
            raise KeyError(name)
        return file.read()


def _read_solution(path: Path) -> dict[str, str]:
    """Kaggle's table: ImageId, and PredictionString with a wnid and four numbers for every box."""
    wnids: dict[str, str] = {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                wnids[row["ImageId"]] = row["PredictionString"].split()[0]
    except Exception as error:  # parsers raise anything for a damaged file
        raise UserError(
            f"{path}, line {len(wnids) + 2}: not ImageId,PredictionString ({one_line(error)}); "
            "download it again"
        ) from error
    return wnids
