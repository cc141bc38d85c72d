"""Datasets: a train and a val split of stored images with labels."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from seit_cl.core.errors import UserError
from seit_cl.core.names import is_utf8, printable
from seit_cl.data.stored import StoredImage


@dataclass(frozen=True, eq=False)
class Split:
    """The samples of one split.

    Args:
        images: N stored images, in an order that the data fixes (in a folder by class, then by
            name); empty if the dataset has no images.
        labels: (N,) int64, positions in the dataset's classes.
    """

    images: Sequence[StoredImage]
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: Tensor, new_labels: Tensor) -> Split:
        """Select samples and relabel them.

        Args:
            rows: (n,) int64, the samples.
            new_labels: (C,) int64, the new label of each old one.
        """
        images = [self.images[row] for row in rows.tolist()] if self.images else []
        return Split(images, new_labels[self.labels[rows]])


@dataclass(frozen=True, eq=False)
class Dataset:
    """A train and a val split over the same classes.

    Args:
        name: name in results.
        root: the folder or file that has both splits.
        classes: names of the classes, sorted or in the data's own order; a label is a position in
            this list.
        train: training samples.
        val: test samples.
        skipped: unreadable images that were left out.
        held_out: description of the holdout that made the val split; "" if the folder has one.
    """

    name: str
    root: Path
    classes: list[str]
    train: Split
    val: Split
    skipped: tuple[str, ...] = ()
    held_out: str = ""

    def __post_init__(self) -> None:
        """Check that the names of the data and of its classes can be written.

        Raises:
            UserError: naming the one that is not UTF-8.
        """
        for name in [str(self.root), self.name, *self.classes]:
            if not is_utf8(name):
                raise UserError(
                    f"{printable(str(self.root))}: the name {printable(name)} is not UTF-8; "
                    "rename it"
                )

    @property
    def has_images(self) -> bool:
        """True if there are images to read."""
        return True

    @property
    def has_files(self) -> bool:
        """True if the images are stored as image files, so that their bytes can be kept."""
        return all(split.images and split.images[0].has_file for split in (self.train, self.val))

    def subset(self, classes: Iterable[str]) -> Dataset:
        """The samples of some classes in both splits, relabelled from 0.

        Args:
            classes: names of classes of the dataset.

        Returns:
            A new dataset, or this one if all of its classes are named.
        """
        names = set(classes)
        assert names <= set(self.classes), sorted(names - set(self.classes))
        if len(names) == len(self.classes):
            return self
        selected = torch.tensor([name in names for name in self.classes])
        return self._take(
            classes=[name for name in self.classes if name in names],
            train=selected[self.train.labels].nonzero()[:, 0],
            val=selected[self.val.labels].nonzero()[:, 0],
            new_labels=selected.cumsum(0) - 1,
        )

    def _take(self, classes: list[str], train: Tensor, val: Tensor, new_labels: Tensor) -> Dataset:
        """Select samples of both splits.

        Args:
            classes: names of the remaining classes.
            train: (n,) int64, rows of the train split.
            val: (n,) int64, rows of the val split.
            new_labels: (C,) int64, the new label of each old one.
        """
        return replace(
            self,
            classes=classes,
            train=self.train.take(train, new_labels),
            val=self.val.take(val, new_labels),
        )

    @cached_property
    def identity(self) -> str:
        """16 hex digits over the names and sizes of the images, the same wherever they are stored.

        Raises:
            UserError: a listed file is missing.
        """
        return self._digest(copy=False)

    @cached_property
    def manifest(self) -> str:
        """16 hex digits that change with the name, size or modification time of any image.

        Raises:
            UserError: a listed file is missing.
        """
        return self._digest(copy=True)

    def _digest(self, copy: bool) -> str:
        """Digest the names and fingerprints of all images.

        Args:
            copy: include the part of the fingerprints that is about this copy of the data.
        """
        digest = hashlib.sha256()
        if self.held_out:
            # The names do not tell the splits apart here.
            digest.update(f"{len(self.train)} train\n".encode())
        for image in [*self.train.images, *self.val.images]:
            contents, of_copy = image.fingerprint()
            fields = [image.name, contents]
            if copy:
                fields.append(of_copy)
            digest.update(("\0".join(fields) + "\n").encode(errors="surrogateescape"))
        return digest.hexdigest()[:16]


def empty_classes(classes: list[str], labels: Tensor) -> list[str]:
    """Names of the classes without a sample; `labels` (N,) int64 are positions in `classes`."""
    counts = torch.bincount(labels, minlength=len(classes))
    return [name for name, count in zip(classes, counts.tolist(), strict=True) if count == 0]
