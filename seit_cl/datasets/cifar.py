"""CIFAR-10 and CIFAR-100 (Krizhevsky, 2009) in their python and binary versions.

https://www.cs.toronto.edu/~kriz/cifar.html describes both: an image is 3,072 bytes, 1,024 of each
channel by rows. The python version is pickles, of which only plain values and arrays are read.
"""

from __future__ import annotations

import pickle
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seit_cl.core.errors import UserError
from seit_cl.data.arrays import ArrayImage, PixelArray
from seit_cl.data.base import Dataset
from seit_cl.data.labelled import Labelled, labelled_dataset
from seit_cl.datasets._safe_pickle import load_arrays
from seit_cl.datasets.base import DatasetContext, DatasetPlugin

SIDE = 32  # pixels
IMAGE = 3 * SIDE * SIDE  # bytes
LARGEST_FILE = 1 << 28  # bytes; that of CIFAR-100's python version is 155 MB
BAD_DATA = (
    OSError,
    EOFError,
    KeyError,
    IndexError,
    TypeError,
    ValueError,
    AttributeError,
    pickle.UnpicklingError,
    tarfile.TarError,
    zlib.error,
)


@dataclass(frozen=True)
class Version:
    """One of the four archives.

    Args:
        name: name in results.
        folder: into which the archive unpacks.
        archive: its file name.
        train, test, meta: files in the folder.
        label_bytes: bytes of labels before an image of the binary version, the last one that of its
            class; 0 for the python version.
    """

    name: str
    folder: str
    archive: str
    train: tuple[str, ...]
    test: str
    meta: str
    label_bytes: int = 0

    @property
    def files(self) -> tuple[str, ...]:
        """All files that are read."""
        return (*self.train, self.test, self.meta)


VERSIONS = (
    Version(
        "cifar10",
        "cifar-10-batches-py",
        "cifar-10-python.tar.gz",
        tuple(f"data_batch_{i}" for i in range(1, 6)),
        "test_batch",
        "batches.meta",
    ),
    Version(
        "cifar10",
        "cifar-10-batches-bin",
        "cifar-10-binary.tar.gz",
        tuple(f"data_batch_{i}.bin" for i in range(1, 6)),
        "test_batch.bin",
        "batches.meta.txt",
        1,
    ),
    Version("cifar100", "cifar-100-python", "cifar-100-python.tar.gz", ("train",), "test", "meta"),
    Version(
        "cifar100",
        "cifar-100-binary",
        "cifar-100-binary.tar.gz",
        ("train.bin",),
        "test.bin",
        "fine_label_names.txt",
        2,
    ),
)


class Cifar(DatasetPlugin):
    """CIFAR-10 or CIFAR-100, whose images are read into memory (at most 180 MB)."""

    source = "Krizhevsky, 2009"
    layout = "cifar-10-python.tar.gz or -binary.tar.gz (or -100), or the folder that it unpacks to"

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """True for one of the archives, its folder, or a folder with one of them."""
        return bool(_places(path))

    @classmethod
    def build(cls, options: object, context: DatasetContext) -> Dataset:
        """Read the images and labels.

        Raises:
            UserError: no such files, two versions side by side, or a damaged file.
        """
        root = context.path
        places = _places(root)
        if not places:
            raise UserError(f"{root}: has none of {', '.join(v.archive for v in VERSIONS)}")
        if len(places) > 1:
            names = " and ".join(place.name for _, place in places)
            raise UserError(f"{root}: has {names}; give --data-root one of them")
        version, place = places[0]
        try:
            files = _read_files(version, place)
        except BAD_DATA as error:
            reason = str(error).strip("'") or type(error).__name__
            raise UserError(f"{place}: cannot be read ({reason}); download it again") from error
        classes = _class_names(version, files[version.meta], place)
        train = [_read_images(version, files[name], f"{place}, {name}") for name in version.train]
        test = _read_images(version, files[version.test], f"{place}, {version.test}")
        return labelled_dataset(
            version.name,
            root,
            classes,
            _labelled(train, f"{place}, train"),
            _labelled([test], f"{place}, test"),
            context.holdout,
        )


def _places(path: Path) -> list[tuple[Version, Path]]:
    """The archive or the folder of every version at a path; the folder where there are both."""
    places = []
    for version in VERSIONS:
        if path.is_file() and path.name == version.archive:
            return [(version, path)]
        if path.is_dir() and all((path / name).is_file() for name in version.files):
            return [(version, path)]
        for place in (path / version.folder, path / version.archive):
            if place.exists():
                places.append((version, place))
                break
    return places


def _read_files(version: Version, place: Path) -> dict[str, bytes]:
    """The files of a version by name, from its folder or archive."""
    if place.is_dir():
        return {name: (place / name).read_bytes() for name in version.files}
    files = {}
    with tarfile.open(place, "r:gz") as archive:
        for member in archive:
            name = member.name.removeprefix(f"{version.folder}/")
            file = archive.extractfile(member) if name in version.files else None
            if file is not None:
                if member.size > LARGEST_FILE:
                    raise ValueError(f"{name} has {member.size:,} bytes")
                files[name] = file.read()
    missing = set(version.files) - set(files)
    if missing:
        raise KeyError(f"{sorted(missing)[0]} is missing")
    return files


def _class_names(version: Version, data: bytes, place: Path) -> list[str]:
    """Names of the classes in the order of the labels."""
    try:
        if version.label_bytes:
            return data.decode().split()
        meta = load_arrays(data)
        names = meta["fine_label_names" if version.name == "cifar100" else "label_names"]
        return [str(name) for name in names]
    except BAD_DATA as error:
        raise UserError(
            f"{place}, {version.meta}: has no names of classes ({error}); download it again"
        ) from error


def _read_images(version: Version, data: bytes, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, 3, 32, 32) uint8 and labels (N,) of a file.

    Raises:
        UserError: it is damaged.
    """
    try:
        if version.label_bytes:
            rows = np.frombuffer(data, np.uint8).reshape(-1, version.label_bytes + IMAGE)
            images = rows[:, version.label_bytes :]
            labels = rows[:, version.label_bytes - 1].astype(np.int64)
        else:
            images, labels = _from_pickle(version, load_arrays(data))
        return images.reshape(len(labels), 3, SIDE, SIDE), labels
    except BAD_DATA as error:
        raise UserError(f"{where}: cannot be read ({error}); download it again") from error


def _from_pickle(version: Version, batch: Mapping[str, object]) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, 3072) uint8 and labels (N,) of a batch.

    Raises:
        ValueError: it has other types.
    """
    images = batch["data"]
    labels = np.asarray(batch["fine_labels" if version.name == "cifar100" else "labels"])
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8:
        raise ValueError("its data is no array of bytes")
    if labels.dtype.kind not in "iu" or images.shape != (len(labels), IMAGE):
        raise ValueError(f"{len(labels)} labels and images of shape {images.shape}")
    return images, labels


def _labelled(parts: list[tuple[np.ndarray, np.ndarray]], where: str) -> Labelled:
    """Join the files of a split."""
    pixels = np.concatenate([images.transpose(0, 2, 3, 1) for images, _ in parts])
    array = PixelArray(pixels, where)
    labels = np.concatenate([labels for _, labels in parts])
    return Labelled(labels, lambda row, start: ArrayImage(array, row, start), where)


DATASET = Cifar
