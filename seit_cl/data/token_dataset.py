"""Datasets of tokens: a token file or a SeiT release, with labels and tokens but no images."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from torch import Tensor

from seit_cl.core.cache import REMEDY, cache_errors, cache_folder
from seit_cl.core.digests import Damaged, check_header
from seit_cl.core.errors import UserError
from seit_cl.core.files import sweep
from seit_cl.core.notes import note
from seit_cl.data.base import Dataset, Split, empty_classes
from seit_cl.data.listing import some_names
from seit_cl.data.seit.release import is_release, manifest, read_release
from seit_cl.data.stored_tokens import StoredTokens
from seit_cl.data.token_file import (
    SPLITS,
    TokenFile,
    is_token_file,
    open_token_file,
    write_token_file,
)


@dataclass(frozen=True, eq=False)
class TokenDataset(Dataset):
    """A dataset that has tokens only.

    Args:
        file: the token file.
        rows: (n,) int64 rows of the file's train and val splits that belong to the dataset; None:
            all rows.
    """

    file: TokenFile = field(kw_only=True)
    rows: tuple[Tensor, Tensor] | None = field(default=None, kw_only=True)

    @property
    def has_images(self) -> bool:
        """Always False."""
        return False

    @property
    def identity(self) -> str:  # type: ignore[override]
        """The file's identity; for a subset, a digest of it and of the names of the classes."""
        if self.rows is None:
            return self.file.identity
        text = "\n".join([self.file.identity, *self.classes])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def manifest(self) -> str:  # type: ignore[override]
        """The same as the identity."""
        return self.identity

    def tokens(self) -> tuple[Tensor | StoredTokens, Tensor]:
        """Train and val tokens, (N, G, H, W) int16 each.

        Train tokens of the whole file stay on the disk, and are checked when they are used; a
        subset's are read here.

        Raises:
            UserError: damaged tokens, or a code outside the codebook.
        """
        train, val = (self.file.tokens[split] for split in SPLITS)
        if self.rows is None:
            return train, val.whole()
        train_rows, val_rows = self.rows
        return train[train_rows], val[val_rows]

    def _take(self, classes: list[str], train: Tensor, val: Tensor, new_labels: Tensor) -> Dataset:
        rows = (train, val)
        if self.rows is not None:
            rows = (self.rows[0][train], self.rows[1][val])
        selected = super()._take(classes, train, val, new_labels)
        return replace(selected, rows=rows)  # type: ignore[call-arg]


def open_token_dataset(path: Path, release: Path | None = None) -> TokenDataset:
    """Open a token file as a dataset; one in the cache is checked as a whole.

    Args:
        path: the file.
        release: the release's folder that the file was made of, which gives the dataset its name
            and root; None: the file's own name.

    Raises:
        UserError: not a token file, a missing train or val split, grids that are neither square nor
            sequences, or a class without images in a split.
    """
    file = open_token_file(path)
    if release is not None:
        file.check()
    path = release or path  # that errors name: the user's
    missing = [split for split in SPLITS if split not in file.tokens]
    if missing:
        raise UserError(f"{path}: has no {missing[0]} split; a run needs both")
    _, height, width = file.grid
    if height not in (1, width):
        raise UserError(
            f"{path}: has grids of {height} x {width} tokens; a run needs square ones, or one row"
        )
    classes = file.metadata.classes
    for split, labels in file.labels.items():
        empty = empty_classes(classes, labels)
        if empty:
            raise UserError(
                f"{path}: {split} has no images of {some_names(empty)}; "
                "leave these classes out of both splits"
            )
    return TokenDataset(
        name=release.resolve().name if release else file.metadata.name,
        root=path,
        classes=classes,
        train=Split([], file.labels["train"]),
        val=Split([], file.labels["val"]),
        file=file,
    )


def holds_tokens(path: Path) -> bool:
    """Return True for a data root of tokens: a token file, or the folder of a SeiT release."""
    return path.is_file() or is_release(path)


def open_release(
    path: Path, progress: Callable[[int, int], None] = lambda done, total: None
) -> TokenDataset:
    """Open a SeiT release as a dataset, converted to a token file in the cache the first time.

    Args:
        path: folder of the release.
        progress: called with the images converted so far and the number of images.

    Raises:
        UserError: a release that cannot be converted.
    """
    cached = cache_folder() / "releases" / f"{manifest(path)}.safetensors"
    if cached.is_file():
        problem = "damaged"
        try:
            if is_token_file(cached):
                if check_header(cached, REMEDY):
                    return open_token_dataset(cached, path)
                problem = "of an earlier version of seit_cl, without a digest"
        except Damaged:
            pass
        note(f"{cached}: {problem}; {path} is converted again")
    _convert_release(path, cached, progress)
    return open_token_dataset(cached, path)


def _convert_release(folder: Path, out: Path, progress: Callable[[int, int], None]) -> None:
    done = 0

    def advance(images: int) -> None:
        nonlocal done
        done += images
        progress(done, total)

    release = read_release(folder, advance=advance)
    total = sum(len(split.labels) for split in release.splits.values())
    progress(0, total)
    with cache_errors(out.parent, "the tokens of a release"):
        out.parent.mkdir(parents=True, exist_ok=True)
    sweep(out.parent, ours=True)
    write_token_file(
        out, release.metadata, release.grid, release.splits, source=folder, remedy=REMEDY
    )
