"""Image folders in which the same classes come in several domains: <domain>/train/<class>/* and <domain>/val/<class>/*, or
<domain>/<class>/* without a split, as PACS, Office-Home and DomainNet unpack."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from seit_cl.datasets.base import Dataset
from seit_cl.datasets.folder import (
    Files,
    check_not_empty,
    check_same_classes,
    find_bad,
    list_class,
    list_split,
    some,
    subfolders,
    to_split,
    without,
)  # fmt: skip
from seit_cl.errors import UserError, nearest

HELD_OUT = 5  # where there is no val split, one image of so many is held out
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


def open_domains(root: Path, wanted: Sequence[str] = (), skip_bad_images: bool = False) -> DomainDataset:
    """Lists and checks a folder of domains.

    Args:
        root: holds a folder for each domain, with train/ and val/ or, where there is neither, with class folders alone: then
            every class's images are put in the order of a hash of their names, and the first fifth is the val split.
        wanted: the domains and their order; empty: all there are, sorted.
        skip_bad_images: leave unreadable images out and count them instead of stopping.

    Returns:
        The dataset, named after the folder; files are sorted by class, then by domain as in the order, then by name.

    Raises:
        UserError: no such folder, unknown domains, classes that are not the same in all, a class without images, or an
            unreadable image.
    """
    root = Path(root)
    if not root.is_dir():
        raise UserError(f"{root}: no such folder; give the folder that holds a folder for each domain")
    domains = _choose(root, wanted)
    train, val = {}, {}
    for domain in domains:
        train[domain], val[domain] = _splits(root / domain)
    _check_same(root, train)
    bad = find_bad(path for files in (*train.values(), *val.values()) for paths in files.values() for path in paths)
    if bad and not skip_bad_images:
        more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
        raise UserError(f"{min(bad)}: not a readable image{more}; replace it or use --skip-bad-images")
    train = {domain: without(files, bad) for domain, files in train.items()}
    val = {domain: without(files, bad) for domain, files in val.items()}
    for domain in domains:
        check_not_empty(root / domain, train[domain], val[domain])
    classes = sorted(train[domains[0]])
    return DomainDataset(
        root.resolve().name, root, classes, to_split(classes, _joined(train)), to_split(classes, _joined(val)),
        tuple(sorted(bad)), domains=domains, train_domains=_which(classes, train), val_domains=_which(classes, val),
    )  # fmt: skip


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


def _splits(folder: Path) -> tuple[Files, Files]:
    """Train and val files of one domain."""
    names = subfolders(folder)
    if {"train", "val"} & set(names):
        train, val = list_split(folder, "train"), list_split(folder, "val")
        check_same_classes(folder, train, val)
        return train, val
    if not names:
        raise UserError(f"{folder}: has no class folders; {LAYOUT}")
    train, val = {}, {}
    for name in names:
        paths = sorted(list_class(folder / name), key=lambda path: _digest(path.relative_to(folder)))
        if len(paths) < 2:
            raise UserError(f"{folder / name}: {len(paths)} images; without a val split a class needs 2 or more")
        held = max(1, len(paths) // HELD_OUT)
        train[name], val[name] = sorted(paths[held:]), sorted(paths[:held])
    return train, val


def _digest(path: Path) -> bytes:
    return hashlib.sha256(path.as_posix().encode()).digest()


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
