"""A token file as a dataset: labels and classes of both splits, tokens ready, and no images."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from seit_cl.core.cache import cache_folder
from seit_cl.core.errors import UserError
from seit_cl.data.base import Dataset, Split
from seit_cl.data.listing import some_names
from seit_cl.data.seit.release import is_release, manifest, read_release
from seit_cl.data.token_file import (
    SPLITS,
    TokenFile,
    is_token_file,
    open_token_file,
    write_token_file,
)


@dataclass(frozen=True, eq=False)
class TokenDataset(Dataset):
    """A dataset of which tokens are all there is.

    Args:
        file: where they are.
        rows: samples (n,) of the file's train and val splits that are the dataset's; None: all.
    """

    file: TokenFile = field(kw_only=True)
    rows: tuple[Tensor, Tensor] | None = field(default=None, kw_only=True)

    @property
    def has_images(self) -> bool:
        """Never."""
        return False

    @property
    def identity(self) -> str:  # type: ignore[override]
        """The file's; of some classes, a digest of it and their names."""
        if self.rows is None:
            return self.file.identity
        return hashlib.sha256("\n".join([self.file.identity, *self.classes]).encode()).hexdigest()[
            :16
        ]

    @property
    def manifest(self) -> str:  # type: ignore[override]
        """The same as the identity."""
        return self.identity

    def tokens(self) -> tuple[Tensor, Tensor]:
        """Train and val tokens (N, G, H, W) int16, on the disk until they are asked for where they are the whole file's.

        Raises:
            UserError: a code is outside the codebook.
        """
        self.file.check_codes()
        train, val = (self.file.tokens[split] for split in SPLITS)
        return (train, val) if self.rows is None else (train[self.rows[0]], val[self.rows[1]])

    def _taken(self, classes: list[str], train: Tensor, val: Tensor, places: Tensor) -> Dataset:
        before = (train, val) if self.rows is None else (self.rows[0][train], self.rows[1][val])
        return replace(super()._taken(classes, train, val, places), rows=before)  # type: ignore[call-arg]


def open_token_dataset(path: Path, release: Path | None = None) -> TokenDataset:
    """A token file as a dataset.

    Args:
        path: the file.
        release: the folder that it was made of, after which the dataset is called; None: it is called as the file says.

    Raises:
        UserError: not a token file, without a train or a val split, with grids that are not square, or with a class that one
            of the splits has no images of.
    """
    file = open_token_file(path)
    lacking = [split for split in SPLITS if split not in file.tokens]
    if lacking:
        raise UserError(f"{path}: has no {lacking[0]} split; a run needs both")
    if file.grid[1] != file.grid[2]:
        raise UserError(
            f"{path}: has grids of {file.grid[1]} x {file.grid[2]} tokens; a run needs square ones"
        )
    for split, labels in file.labels.items():
        counts = torch.bincount(labels, minlength=len(file.metadata.classes))
        empty = [file.metadata.classes[i] for i in (counts == 0).nonzero()[:, 0].tolist()]
        if empty:
            raise UserError(
                f"{path}: {split} has no images of {some_names(empty)}; leave these classes out of both splits"
            )
    parts = {split: Split([], labels) for split, labels in file.labels.items()}
    name = release.resolve().name if release else file.metadata.name
    return TokenDataset(
        name, release or path, file.metadata.classes, parts["train"], parts["val"], file=file
    )


def holds_tokens(path: Path) -> bool:
    """Return True for a data root of tokens: a token file, or the folder of a SeiT release."""
    return path.is_file() or is_release(path)


def open_tokens(
    path: Path, progress: Callable[[int, int], None] = lambda done, total: None
) -> TokenDataset:
    """Open a token file or a SeiT release as a dataset.

    A release is converted to a token file in the cache when it is opened for the first time.

    Args:
        path: token file, or folder of a release.
        progress: called with the images converted so far and the number of images.

    Raises:
        UserError: not a token file, or a release that cannot be converted.
    """
    if path.is_file():
        return open_token_dataset(path)
    cached = cache_folder() / "releases" / f"{manifest(path)}.safetensors"
    if not is_token_file(cached):
        _convert_release(path, cached, progress)
    return open_token_dataset(cached, path)


def _convert_release(folder: Path, out: Path, progress: Callable[[int, int], None]) -> None:
    done = 0

    def advance(images: int) -> None:
        nonlocal done
        done += images
        progress(done, total)

    release = read_release(folder, done=advance)
    total = sum(len(split.labels) for split in release.splits.values())
    progress(0, total)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_token_file(out, release.metadata, release.grid, release.splits)
