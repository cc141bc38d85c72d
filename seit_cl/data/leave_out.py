"""Leaving listed images out of a dataset, such as images that another dataset has, too."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from seit_cl.core.errors import UserError
from seit_cl.data.base import Dataset, Split
from seit_cl.data.folder import check_not_empty


def leave_out(dataset: Dataset, path: str | Path) -> Dataset:
    """Leave the images that a list names out of both splits.

    Args:
        dataset: as listed or checked.
        path: text file with a line for each image: its path below the data root, with slashes
            (train/n02823428/n02823428_224.JPEG). Empty lines and those that begin with # are
            comments. Names that the dataset lacks are passed over, so that one list may serve
            several data sets.

    Raises:
        UserError: a list that cannot be read, one without an image of the dataset, a class without
            any other image, or a dataset whose images have no names.
    """
    names = _read_names(path)
    train, val = _without(dataset.train, names), _without(dataset.val, names)
    found = len(dataset.train) + len(dataset.val) - len(train) - len(val)
    if not found:
        raise UserError(
            f"--leave-out {path}: names no image of {dataset.root}; give paths below it, one a line"
        )
    remaining = replace(dataset, train=train, val=val)
    check_not_empty(remaining)
    return remaining


def _read_names(path: str | Path) -> set[str]:
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise UserError(
            f"--leave-out {path}: cannot be read ({reason}); give a text file"
        ) from None
    names = {line.strip() for line in lines}
    return {name for name in names if name and not name.startswith("#")}


def _without(split: Split, names: set[str]) -> Split:
    """Return the split without the images of some names."""
    if not split.images:
        return split
    kept = torch.tensor([image.name not in names for image in split.images])
    if kept.all():
        return split
    classes = int(split.labels.max()) + 1
    return split.take(kept.nonzero()[:, 0], torch.arange(classes))
