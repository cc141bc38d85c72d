"""Image folders in which the same classes come in several domains: a folder for each domain, that holds train/<class>/* and
val/<class>/*, or <class>/* alone, as PACS, Office-Home and DomainNet unpack."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from seit_cl.core.errors import UserError, nearest
from seit_cl.data.base import Dataset, Split
from seit_cl.data.folder import list_folder
from seit_cl.data.holdout import DEFAULT_HOLDOUT, Holdout
from seit_cl.data.listing import some_names, subfolders

LAYOUT = "expected <domain>/train/<class>/*.jpg with <domain>/val/<class>/*.jpg, or <domain>/<class>/*.jpg"


@dataclass(frozen=True, eq=False)
class DomainDataset(Dataset):
    """A dataset of which every image belongs to a domain: the folder under the root that it lies in.

    Args:
        domains: their names, in the order of the stream.
    """

    domains: tuple[str, ...] = field(kw_only=True)

    def domains_of(self, split: Split) -> Tensor:
        """(N,) int64, positions in `domains` of a split's images."""
        place = {domain: i for i, domain in enumerate(self.domains)}
        return torch.tensor(
            [place[path.relative_to(self.root).parts[0]] for path in split.paths], dtype=torch.int64
        )


def list_domains(
    root: Path, wanted: Sequence[str] = (), holdout: Holdout = DEFAULT_HOLDOUT
) -> DomainDataset:
    """Lists a folder of domains; no image is opened yet.

    Args:
        root: holds a folder for each domain, each as `list_folder` takes it.
        wanted: the domains and their order; empty: all there are, sorted.
        holdout: how a val split is made in a domain that has none.

    Returns:
        The dataset, named after the folder; files are sorted by class, then by domain as in the order, then by name.

    Raises:
        UserError: no such folder, fewer than two domains, unknown ones, classes that are not the same in all, or what
            `list_folder` refuses.
    """
    root = Path(root)
    if not root.is_dir():
        raise UserError(
            f"{root}: no such folder; give the folder that holds a folder for each domain"
        )
    domains = _choose(root, wanted)
    parts = [list_folder(root / domain, holdout) for domain in domains]
    for domain, part in zip(domains[1:], parts[1:], strict=True):
        odd = set(parts[0].classes) ^ set(part.classes)
        if odd:
            raise UserError(
                f"{root}: {some_names(odd)} in one of {domains[0]}/ and {domain}/ alone; "
                "domains must have the same classes"
            )
    return DomainDataset(
        root.resolve().name,
        root,
        parts[0].classes,
        _joined([part.train for part in parts]),
        _joined([part.val for part in parts]),
        held_out=next((part.held_out for part in parts if part.held_out), ""),
        domains=domains,
    )


def _choose(root: Path, wanted: Sequence[str]) -> tuple[str, ...]:
    """The domains of a folder, in their order."""
    there = subfolders(root)
    if {"train", "val"} & set(there):
        raise UserError(
            f"{root}: has train/ or val/ and not a folder for each domain, {LAYOUT}; for corruptions of its images "
            "write --scenario domain-incremental:corruptions=gaussian_noise+contrast"
        )
    for name in wanted:
        if name not in there:
            raise UserError(f"{root}: has no folder of a domain {name!r}; {nearest(name, there)}")
    if len(wanted or there) < 2 or len(set(wanted)) < len(wanted):
        raise UserError(
            f"{root}: {len(set(wanted or there))} domains; two or more different ones are needed, {LAYOUT}"
        )
    return tuple(wanted or there)


def _joined(splits: Sequence[Split]) -> Split:
    """Splits over the same classes as one, sorted by class, then in the order given."""
    paths = [path for split in splits for path in split.paths]
    labels, rows = torch.cat([split.labels for split in splits]).sort(stable=True)
    return Split([paths[row] for row in rows.tolist()], labels)
