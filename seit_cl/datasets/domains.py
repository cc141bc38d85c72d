"""Image folders in which the same classes come in several domains: <domain>/train/<class>/* and <domain>/val/<class>/*, or
<domain>/<class>/* without a split, as PACS, Office-Home and DomainNet unpack."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seit_cl.datasets.base import Dataset
from seit_cl.datasets.folder import check_not_empty, check_same_classes, list_split, to_split
from seit_cl.datasets.holdout import USUAL, Holdout
from seit_cl.datasets.listing import Files, list_class, some, subfolders
from seit_cl.errors import UserError, nearest

LAYOUT = "expected <domain>/train/<class>/*.jpg with <domain>/val/<class>/*.jpg, or <domain>/<class>/*.jpg"


@dataclass(frozen=True, eq=False)
class DomainDataset(Dataset):
    """A dataset of which every image belongs to a domain.

    Args:
        domains: their names, in the order of the stream.
        train_domains, val_domains: (N,) int64, positions in `domains` of the splits' images.
    """

    domains: tuple[str, ...] = field(kw_only=True)
    train_domains: Tensor = field(kw_only=True)
    val_domains: Tensor = field(kw_only=True)

    def taken(self, classes: list[str], train: Tensor, val: Tensor, places: Tensor) -> Dataset:
        """The same, with the samples' domains."""
        own: Any = super().taken(classes, train, val, places)
        return replace(own, train_domains=self.train_domains[train], val_domains=self.val_domains[val])


def list_domains(root: Path, wanted: Sequence[str] = (), holdout: Holdout = USUAL) -> DomainDataset:
    """Lists a folder of domains; no image is opened yet.

    Args:
        root: holds a folder for each domain, with train/ and val/ or with class folders alone.
        wanted: the domains and their order; empty: all there are, sorted.
        holdout: how a val split is made of a domain that has none.

    Returns:
        The dataset, named after the folder; files are sorted by class, then by domain as in the order, then by name.

    Raises:
        UserError: no such folder, unknown domains, classes that are not the same in all, or a class without images.
    """
    root = Path(root)
    if not root.is_dir():
        raise UserError(f"{root}: no such folder; give the folder that holds a folder for each domain")
    domains, held_out = _choose(root, wanted), ""
    train, val = {}, {}
    for domain in domains:
        train[domain], val[domain], held = _splits(root / domain, holdout)
        held_out = held_out or held
    _check_same(root, train)
    classes = sorted(train[domains[0]])
    dataset = DomainDataset(
        root.resolve().name, root, classes, to_split(classes, _joined(train)), to_split(classes, _joined(val)),
        held_out=held_out, domains=domains, train_domains=_which(classes, train), val_domains=_which(classes, val),
    )  # fmt: skip
    check_not_empty(dataset)
    return dataset


def _choose(root: Path, wanted: Sequence[str]) -> tuple[str, ...]:
    """The domains of a folder, in their order."""
    there = subfolders(root)
    if {"train", "val"} & set(there):
        raise UserError(f"{root}: has train/ or val/ where folders of domains are {LAYOUT}; for corruptions of its images "
                        "write --scenario domain-incremental:corruptions=gaussian_noise+contrast")  # fmt: skip
    for name in wanted:
        if name not in there:
            raise UserError(f"{root}: has no folder of a domain {name!r}; {nearest(name, there)}")
    if len(wanted or there) < 2 or len(set(wanted)) < len(wanted):
        raise UserError(f"{root}: {len(set(wanted or there))} domains; two or more different ones are needed, {LAYOUT}")
    return tuple(wanted or there)


def _splits(folder: Path, holdout: Holdout) -> tuple[Files, Files, str]:
    """Train and val files of one domain, and in words how val was held out ("" where it has one)."""
    names = subfolders(folder)
    if {"train", "val"} & set(names):
        train, val = list_split(folder, "train"), list_split(folder, "val")
        check_same_classes(folder, train, val)
        return train, val, ""
    if not names:
        raise UserError(f"{folder}: has no class folders; {LAYOUT}")
    return *holdout.split(folder, {name: list_class(folder / name) for name in names}), str(holdout)


def _check_same(root: Path, files: dict[str, Files]) -> None:
    """Raises UserError where a domain has other classes than the first."""
    (first, own), *others = files.items()
    for domain, theirs in others:
        odd = set(own) ^ set(theirs)
        if odd:
            raise UserError(f"{root}: {some(odd)} in one of {first}/ and {domain}/ alone; domains must have the same classes")


def _joined(files: dict[str, Files]) -> Files:
    """Files of all domains by class."""
    classes = next(iter(files.values()))
    return {name: [path for own in files.values() for path in own[name]] for name in classes}


def _which(classes: list[str], files: dict[str, Files]) -> Tensor:
    """(N,) the domain of every file, in the order of `to_split`."""
    counts = torch.tensor([[len(own[name]) for own in files.values()] for name in classes])
    return torch.arange(len(files)).repeat(len(classes)).repeat_interleave(counts.flatten())
