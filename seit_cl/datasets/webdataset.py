"""Webdataset shards: tar archives in which files of one key are a sample, e.g. 7.jpg and 7.cls.

https://github.com/webdataset/webdataset. A key is a file's name up to the first dot, and the rest
says what the file is. Shards are indexed once and read in place.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seit_cl.core.errors import UserError, reading
from seit_cl.data.base import Dataset
from seit_cl.data.labelled import Labelled, labelled_dataset, numbered_classes
from seit_cl.data.listing import SUFFIXES
from seit_cl.data.tar_images import Member, TarArchive, tar_image_maker
from seit_cl.datasets._splits import split_files
from seit_cl.datasets.base import DatasetContext, DatasetPlugin

FIRST_IMAGES = ("jpg", "jpeg", "png", "webp")  # of a sample that has several
IMAGES = tuple(dict.fromkeys([*FIRST_IMAGES, *(suffix[1:] for suffix in SUFFIXES)]))
LARGEST_LABEL = 1 << 20  # bytes


@dataclass(frozen=True)
class WebdatasetOptions:
    """Names of the files of a sample.

    Args:
        image: the image's, e.g. "jpg"; empty: the first of IMAGES that the sample has.
        label: the label's, e.g. "cls", "txt" or "json"; "json.KEY" is a value in it.
        classes: a file with the name of every class, one a line; empty: classes.txt beside the
            shards, or else labels are the names.
    """

    image: str = ""
    label: str = "cls"
    classes: str = ""


class Webdataset(DatasetPlugin):
    """A folder of shards, or one shard; train and val are told from the names of files."""

    source = "https://github.com/webdataset/webdataset"
    layout = "*train*.tar and *val*.tar (or train/*.tar and val/*.tar) of KEY.jpg with KEY.cls"
    Options = WebdatasetOptions

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """True for tar files, other than ILSVRC's."""
        return bool(_shards(path))

    @classmethod
    def build(cls, options: WebdatasetOptions, context: DatasetContext) -> Dataset:
        """Index the shards and read the labels.

        Raises:
            UserError: no shards, a damaged one, a sample without image or label, or a key twice.
        """
        root = context.path
        shards = _shards(root)
        if not shards:
            raise UserError(f"{root}: has no .tar files; expected {cls.layout}")
        train_files, val_files = split_files(root.parent if root.is_file() else root, shards)
        parts = [_Shards(train_files, options)]
        if val_files:
            parts.append(_Shards(val_files, options))
        labels, classes = _label_numbers([part.labels for part in parts], options, root)
        labelled = [part.labelled(values) for part, values in zip(parts, labels, strict=True)]
        val = labelled[1] if val_files else None
        name = root.name.removesuffix(".tar")
        return labelled_dataset(name, root, classes, labelled[0], val, context.holdout)


def _shards(path: Path) -> list[Path]:
    """The shards of a path, sorted."""
    if path.is_file():
        files = [path] if path.suffix == ".tar" else []
    elif path.is_dir():
        files = sorted([*path.glob("*.tar"), *path.glob("*/*.tar")])
    else:
        files = []
    return [file for file in files if not file.name.startswith("ILSVRC2012_")]


class _Shards:
    """The samples of one split.

    Args:
        files: its shards.
        options: names of the files of a sample.
    """

    def __init__(self, files: list[Path], options: WebdatasetOptions) -> None:
        self.archives: list[TarArchive] = []
        self.images: list[Member] = []
        self.stems: list[str] = []
        self.labels: list[str] = []
        self.where = str(files[0].parent)
        for file in files:
            archive = TarArchive.of(file)
            for key, sample in _samples(archive):
                self.archives.append(archive)
                self.images.append(_image(sample, options, f"{file}, {key}"))
                self.stems.append(f"{file.stem}/{key}")
                self.labels.append(_label(archive, sample, options, f"{file}, {key}"))

    def labelled(self, labels: np.ndarray) -> Labelled:
        """The samples with labels (N,) in place of their texts."""
        image = tar_image_maker(self.archives, self.images, self.stems)
        return Labelled(labels, image, self.where)


def _samples(archive: TarArchive) -> Iterator[tuple[str, dict[str, Member]]]:
    """Keys and files of the samples of a shard, in order.

    Raises:
        UserError: a key or a file comes twice.
    """
    samples: dict[str, dict[str, Member]] = {}
    last = ""
    for member in archive.members():
        folder, slash, file = member.name.rpartition("/")
        stem, dot, suffix = file.partition(".")
        if not dot or not stem:
            continue  # webdataset's readers leave them out too
        key = f"{folder}{slash}{stem}"
        sample = samples.setdefault(key, {})
        if suffix.lower() in sample or (sample and key != last):
            raise UserError(
                f"{archive.path}: has the key {key!r} twice; write every sample once, its files "
                "one after the other"
            )
        sample[suffix.lower()] = member
        last = key
    yield from samples.items()


def _image(sample: dict[str, Member], options: WebdatasetOptions, where: str) -> Member:
    wanted = (options.image,) if options.image else IMAGES
    for suffix in wanted:
        if suffix in sample:
            return sample[suffix]
    raise UserError(
        f"{where}: has {', '.join(sample)} and no image ({', '.join(wanted)}); name its suffix: "
        "webdataset:PATH,image=SUFFIX"
    )


def _label(
    archive: TarArchive, sample: dict[str, Member], options: WebdatasetOptions, where: str
) -> str:
    """The label of a sample as text."""
    suffix, _, key = options.label.partition(".")
    if suffix not in sample:
        raise UserError(
            f"{where}: has {', '.join(sample)} and no {suffix}; name the label's suffix: "
            "webdataset:PATH,label=SUFFIX, or label=json.KEY"
        )
    member = sample[suffix]
    with reading(where, f"its {options.label} is no label", "write it again"):
        if member.size > LARGEST_LABEL:
            raise ValueError(f"{member.size:,} bytes")
        text = archive.read(member.offset, member.size).decode().strip()
        if key:
            text = str(json.loads(text)[key])
    return text


def _label_numbers(
    texts: list[list[str]], options: WebdatasetOptions, root: Path
) -> tuple[list[np.ndarray], list[str]]:
    """Labels of every split as positions in the classes, and the names of these.

    Raises:
        UserError: the file of names cannot be read, or labels are no numbers beside it.
    """
    names: list[str] | None = None
    beside = (root.parent if root.is_file() else root) / "classes.txt"
    file = Path(options.classes) if options.classes else beside
    if options.classes or file.is_file():
        with reading(file, "cannot be read", "write one name a line"):
            names = file.read_text(encoding="utf-8").split("\n")
        names = [name.strip() for name in names if name.strip()]
    try:
        numbers = [np.array(list(map(int, part)), np.int64) for part in texts]
    except (ValueError, OverflowError) as error:
        if names is not None:
            raise UserError(f"{root}: labels are no numbers ({error}); remove {file}") from error
        found = sorted(set().union(*texts))
        position = {name: i for i, name in enumerate(found)}
        labels = [np.array(list(map(position.__getitem__, part)), np.int64) for part in texts]
        return labels, found
    if names is not None:
        return numbers, names
    found, numbers = numbered_classes(*numbers)
    return numbers, found


DATASET = Webdataset
