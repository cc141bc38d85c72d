"""Datasets: a train and a val split of image files with labels."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from seit_cl.core.errors import UserError


@dataclass(frozen=True, eq=False)
class Split:
    """The samples of one split.

    Args:
        paths: N image files, sorted by class and then by name; empty if the dataset has no images.
        labels: (N,) int64, positions in the dataset's sorted classes.
    """

    paths: list[Path]
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: Tensor, new_labels: Tensor) -> Split:
        """Select samples and relabel them.

        Args:
            rows: (n,) int64, the samples.
            new_labels: (C,) int64, the new label of each old one.
        """
        paths = [self.paths[row] for row in rows.tolist()] if self.paths else []
        return Split(paths, new_labels[self.labels[rows]])


@dataclass(frozen=True, eq=False)
class Dataset:
    """A train and a val split over the same classes.

    Args:
        name: name in results.
        root: the folder that has both splits.
        classes: names of the class folders, sorted; a label is a position in this list.
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
    skipped: tuple[Path, ...] = ()
    held_out: str = ""

    @property
    def has_images(self) -> bool:
        """True if there are image files to read."""
        return True

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
        """16 hex digits over the names and sizes of the files, the same wherever the images are.

        Raises:
            UserError: a listed file is missing.
        """
        return self._digest(lambda stat: f"{stat.st_size}")

    @cached_property
    def manifest(self) -> str:
        """16 hex digits that change with the name, size or modification time of any file.

        Raises:
            UserError: a listed file is missing.
        """
        return self._digest(lambda stat: f"{stat.st_size}\0{stat.st_mtime_ns}")

    def _digest(self, describe: Callable[[os.stat_result], str]) -> str:
        digest = hashlib.sha256()
        if self.held_out:
            # The paths do not tell the splits apart here.
            digest.update(f"{len(self.train)} train\n".encode())
        for path in [*self.train.paths, *self.val.paths]:
            try:
                stat = path.stat()
            except OSError as error:
                raise UserError(
                    f"{path}: cannot be read ({error.strerror}); restore it or start again"
                ) from error
            relative = path.relative_to(self.root).as_posix()
            digest.update(f"{relative}\0{describe(stat)}\n".encode())
        return digest.hexdigest()[:16]


def empty_classes(classes: list[str], labels: Tensor) -> list[str]:
    """Names of the classes without a sample; `labels` (N,) int64 are positions in `classes`."""
    counts = torch.bincount(labels, minlength=len(classes))
    return [name for name, count in zip(classes, counts.tolist(), strict=True) if count == 0]
