"""NumPy archives (.npz) of images and labels."""

from __future__ import annotations

import math
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seit_cl.core.errors import UserError
from seit_cl.data.arrays import ArrayImage, PixelArray, channels_last
from seit_cl.data.base import Dataset
from seit_cl.data.labelled import Labelled, labelled_dataset, numbered_classes
from seit_cl.datasets.base import DatasetContext, DatasetPlugin

# Names of a split's images and labels: Keras's (mnist.npz), MedMNIST's, and plain ones.
TRAIN = (
    ("x_train", "y_train"),
    ("train_images", "train_labels"),
    ("images", "labels"),
    ("x", "y"),
)
VAL = (
    ("x_val", "y_val"),
    ("val_images", "val_labels"),
    ("x_test", "y_test"),
    ("test_images", "test_labels"),
)
CLASSES = ("classes", "class_names", "label_names")
BAD_ARCHIVE = (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class NpzOptions:
    """Names of arrays.

    Args:
        images, labels: arrays of the images to train on; empty: the names in TRAIN.
        val_images, val_labels: those to test on; empty: the names in VAL.
    """

    images: str = ""
    labels: str = ""
    val_images: str = ""
    val_labels: str = ""


class Npz(DatasetPlugin):
    """An .npz file; its images are uint8, and all of them are read into memory."""

    source = "numpy.savez"
    layout = (
        "FILE.npz with x_train, y_train, x_test, y_test, or images and labels: (N, H, W, 3) uint8 "
        "and (N,) integers, and class_names where there are names"
    )
    Options = NpzOptions

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """True for a file of that suffix."""
        return path.suffix == ".npz" and path.is_file()

    @classmethod
    def build(cls, options: NpzOptions, context: DatasetContext) -> Dataset:
        """Read the file.

        Raises:
            UserError: a damaged file, arrays that are missing or do not fit, or a class without
                images.
        """
        path = context.path
        try:
            with zipfile.ZipFile(path) as archive:
                names = {name.removesuffix(".npy") for name in archive.namelist()}
                train_names = _choose(options.images, options.labels, TRAIN, names)
                val_names = _choose(options.val_images, options.val_labels, VAL, names)
                if train_names is None:
                    raise UserError(
                        f"{path}: has the arrays {', '.join(sorted(names))}; name those of images "
                        f"and labels: npz:{path},images=NAME,labels=NAME"
                    )
                train = _read_split(archive, path, train_names)
                val = None if val_names is None else _read_split(archive, path, val_names)
                class_names = _read_names(archive, path, names)
        except BAD_ARCHIVE as error:
            raise UserError(f"{path}: not a readable .npz file ({error}); save it again") from error
        if class_names is None:
            parts = [train[1]] if val is None else [train[1], val[1]]
            class_names, parts = numbered_classes(*parts)
            train = (train[0], parts[0])
            if val is not None:
                val = (val[0], parts[1])
        return labelled_dataset(
            path.stem,
            path,
            class_names,
            _labelled(train, f"{path}, {train_names[0]}"),
            None if val is None or val_names is None else _labelled(val, f"{path}, {val_names[0]}"),
            context.holdout,
        )


def _choose(
    images: str, labels: str, known: tuple[tuple[str, str], ...], names: set[str]
) -> tuple[str, str] | None:
    """The names of a split's arrays: those given, or the first known ones that exist."""
    if images and labels:
        return images, labels
    return next((pair for pair in known if names.issuperset(pair)), None)


def _read_split(
    archive: zipfile.ZipFile, path: Path, names: tuple[str, str]
) -> tuple[PixelArray, np.ndarray]:
    """Images and labels of a split."""
    where = f"{path}, {names[0]}"
    pixels = channels_last(_read_array(archive, names[0], path), where)
    labels = _read_array(archive, names[1], path)
    if labels.ndim == 2 and labels.shape[1] == 1:  # MedMNIST
        labels = labels[:, 0]
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or len(labels) != len(pixels):
        raise UserError(
            f"{path}, {names[1]}: has the shape {labels.shape} and type {labels.dtype}; give one "
            f"integer for each of the {len(pixels):,} images"
        )
    return PixelArray(pixels, where), labels


def _read_names(archive: zipfile.ZipFile, path: Path, names: set[str]) -> list[str] | None:
    """Names of the classes; None where the archive has none."""
    for name in CLASSES:
        if name in names:
            array = _read_array(archive, name, path)
            if array.ndim != 1 or array.dtype.kind != "U":
                raise UserError(f"{path}, {name}: not a list of texts; save np.array of str")
            return [str(value) for value in array]
    return None


def _read_array(archive: zipfile.ZipFile, name: str, path: Path) -> np.ndarray:
    """Read an array, after its header is checked against the size of its file.

    Raises:
        UserError: Python objects in place of numbers.
        one of BAD_ARCHIVE: it is missing or damaged.
    """
    member = archive.getinfo(f"{name}.npy")
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        read_header = np.lib.format.read_array_header_1_0
        if version != (1, 0):
            read_header = np.lib.format.read_array_header_2_0
        shape, _, dtype = read_header(file)
        if dtype.hasobject:
            raise UserError(f"{path}, {name}: holds Python objects; save arrays of numbers")
        if math.prod(shape) * dtype.itemsize > member.file_size:
            raise ValueError(f"{name} claims the shape {shape}, and is smaller")
    with archive.open(member) as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def _labelled(split: tuple[PixelArray, np.ndarray], where: str) -> Labelled:
    pixels, labels = split
    return Labelled(labels, lambda row, start: ArrayImage(pixels, row, start), where)


DATASET = Npz
