"""What a dataset is to the rest of the package: named lists of image files and their labels."""

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
    """The image files of one split.

    Args:
        paths: N files, sorted by class and then by name; none where the dataset has no images.
        labels: (N,) int64, positions in the dataset's sorted classes.
    """

    paths: list[Path]
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, rows: Tensor, places: Tensor) -> Split:
        """The samples at rows (n,), with labels that `places` (C,) gives to the old ones."""
        paths = [self.paths[i] for i in rows.tolist()] if self.paths else []
        return Split(paths, places[self.labels[rows]])


@dataclass(frozen=True, eq=False)
class Dataset:
    """A train and a val split over the same classes.

    Args:
        name: what results call it.
        root: the folder that holds both splits.
        classes: the class folders' names, sorted; a label is a position here.
        train: the files that are learnt from.
        val: the files that are tested on.
        skipped: unreadable images that were left out.
        held_out: how the val split was made where the folder has none, in a few words; "" where it has one.
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
        """Whether there are files to read pixels from."""
        return True

    def subset(self, classes: Iterable[str]) -> Dataset:
        """The part of some classes: their images in both splits, labels counted anew. All of them: the dataset itself.

        Args:
            classes: names that are among the dataset's.
        """
        wanted = set(classes)
        assert wanted <= set(self.classes), sorted(wanted - set(self.classes))
        if len(wanted) == len(self.classes):
            return self
        keep = torch.tensor([name in wanted for name in self.classes])
        train, val = (keep[split.labels].nonzero()[:, 0] for split in (self.train, self.val))
        return self._taken(
            [name for name in self.classes if name in wanted], train, val, keep.cumsum(0) - 1
        )

    def _taken(self, classes: list[str], train: Tensor, val: Tensor, places: Tensor) -> Dataset:
        """Samples (n,) of train and of val as a dataset of these classes; `places` (C,) has the new label of each old one."""
        return replace(
            self,
            classes=classes,
            train=self.train.subset(train, places),
            val=self.val.subset(val, places),
        )

    @cached_property
    def identity(self) -> str:
        """16 hex digits over the files' names and sizes: the same images in another place have the same.

        Raises:
            UserError: a listed file is gone.
        """
        return self._digest(lambda stat: f"{stat.st_size}")

    @cached_property
    def manifest(self) -> str:
        """16 hex digits that change when a file of either split comes, goes, or has another size or mtime.

        Raises:
            UserError: a listed file is gone.
        """
        return self._digest(lambda stat: f"{stat.st_size}\0{stat.st_mtime_ns}")

    def _digest(self, facts: Callable[[os.stat_result], str]) -> str:
        digest = hashlib.sha256(
            f"{len(self.train)} train\n".encode() if self.held_out else b""
        )  # else the paths tell
        for path in [*self.train.paths, *self.val.paths]:
            try:
                stat = path.stat()
            except OSError as error:
                raise UserError(
                    f"{path}: cannot be read ({error.strerror}); restore it or start again"
                ) from error
            relative = path.relative_to(self.root).as_posix()
            digest.update(f"{relative}\0{facts(stat)}\n".encode())
        return digest.hexdigest()[:16]
