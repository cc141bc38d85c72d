"""Image folders in which the same classes come in several domains.

Each domain is a subfolder that has train/<class>/* and val/<class>/*, or <class>/* alone, as PACS,
Office-Home and DomainNet unpack.
"""

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
from seit_cl.data.split_folders import find_splits
from seit_cl.data.stored import ImageFile, StoredImage

LAYOUT = (
    "expected <domain>/train/<class>/*.jpg with <domain>/val/<class>/*.jpg, "
    "or <domain>/<class>/*.jpg"
)


@dataclass(frozen=True, eq=False)
class DomainDataset(Dataset):
    """A dataset whose images belong to domains: the subfolders of the root.

    Args:
        domains: their names, in the order of the stream.
    """

    domains: tuple[str, ...] = field(kw_only=True)

    def domains_of(self, split: Split) -> Tensor:
        """Domains of a split's images, (N,) int64 positions in `domains`."""
        position = {domain: i for i, domain in enumerate(self.domains)}
        indices = [position[image.name.partition("/")[0]] for image in split.images]
        return torch.tensor(indices, dtype=torch.int64)


def list_domains(
    root: Path, names: Sequence[str] = (), holdout: Holdout = DEFAULT_HOLDOUT
) -> DomainDataset:
    """List a folder of domains without opening an image.

    Args:
        root: has a subfolder for each domain, in a layout of `list_folder`.
        names: the domains and their order; empty: all subfolders, sorted.
        holdout: rule for the val split of a domain that has none.

    Returns:
        The dataset, named after the folder; files are sorted by class, then by the order of the
        domains, then by name.

    Raises:
        UserError: no such folder, fewer than two domains, an unknown one, classes that differ
            between domains, or an error of `list_folder`.
    """
    root = Path(root)
    if not root.is_dir():
        raise UserError(
            f"{root}: no such folder; give the folder that holds a folder for each domain"
        )
    domains = _choose(root, names)
    parts = [list_folder(root / domain, holdout) for domain in domains]
    for domain, part in zip(domains[1:], parts[1:], strict=True):
        odd = set(parts[0].classes) ^ set(part.classes)
        if odd:
            raise UserError(
                f"{root}: {some_names(odd)} in one of {domains[0]}/ and {domain}/ alone; "
                "domains must have the same classes"
            )
    descriptions = [part.held_out for part in parts if part.held_out]
    return DomainDataset(
        name=root.resolve().name,
        root=root,
        classes=parts[0].classes,
        train=_join(root, [part.train for part in parts]),
        val=_join(root, [part.val for part in parts]),
        held_out=descriptions[0] if descriptions else "",
        domains=domains,
    )


def _choose(root: Path, names: Sequence[str]) -> tuple[str, ...]:
    """The requested domains of a folder, or all."""
    folders = subfolders(root)
    if "val" in folders or find_splits(root).train:
        raise UserError(
            f"{root}: has train/ or val/ and not a folder for each domain, {LAYOUT}; for "
            "corruptions of its images write "
            "--scenario domain-incremental:corruptions=gaussian_noise+contrast"
        )
    for name in names:
        if name not in folders:
            raise UserError(f"{root}: has no folder of a domain {name!r}; {nearest(name, folders)}")
    domains = tuple(names or folders)
    different = len(set(domains))
    if different < 2 or different < len(domains):
        raise UserError(
            f"{root}: {different} domains; two or more different ones are needed, {LAYOUT}"
        )
    return domains


def _join(root: Path, splits: Sequence[Split]) -> Split:
    """Join splits of image files over the same classes; their names become relative to `root`.

    They are sorted by class, then in the order of the splits.
    """
    images: list[StoredImage] = []
    for split in splits:
        for image in split.images:
            assert isinstance(image, ImageFile)
            images.append(ImageFile(image.path, root))
    labels, rows = torch.cat([split.labels for split in splits]).sort(stable=True)
    return Split([images[row] for row in rows.tolist()], labels)
