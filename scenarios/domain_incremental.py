"""Domain-incremental learning: the same classes in every experience, in domains that change."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from seit_cl.core.cache import cache_folder
from seit_cl.core.errors import UserError, nearest
from seit_cl.data.base import Dataset
from seit_cl.data.corrupted import open_corrupted
from seit_cl.data.corruptions import CORRUPTIONS, SEVERITIES
from seit_cl.data.domains import DomainDataset, list_domains
from seit_cl.data.holdout import Holdout
from seit_cl.data.images import LARGEST, SMALLEST, native_resolution
from seit_cl.data.scenario import Cut, Scenario, ScenarioKind
from seit_cl.scenarios._streams import refuse_first_classes
from seit_cl.scenarios.class_incremental import ordered_classes


@dataclass(frozen=True)
class DomainOptions:
    """Options of domain-incremental.

    Args:
        domains: folders of --data-root in the order wanted, joined by "+"; empty: all, sorted.
        corruptions: names of corruptions in the order wanted, joined by "+": domains made of --data-root's images, after a
            clean one. Empty: --data-root has a folder for each domain.
        severity: of the corruptions, 1 to 5.
        side: of corrupted images, pixels; 0: the dataset's own, up to 256.
        deal_seed: deals the train images over clean and corrupted domains.
    """

    domains: str = ""
    corruptions: str = ""
    severity: int = 3
    side: int = 0
    deal_seed: int = 1993

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        named = self.corruptions.split("+") if self.corruptions else []
        for name in named:
            if name not in CORRUPTIONS:
                raise UserError(
                    f"domain-incremental: unknown corruption {name!r}; {nearest(name, CORRUPTIONS)}"
                )
        if len(set(named)) < len(named):
            raise UserError(
                f"domain-incremental: corruptions={self.corruptions}: one is named twice; name each once"
            )
        if named and self.domains:
            raise UserError(
                "domain-incremental: domains= are folders, corruptions= are made; give one of the two"
            )
        if not 1 <= self.severity <= SEVERITIES:
            raise UserError(
                f"domain-incremental: severity={self.severity}: must be from 1 to {SEVERITIES}"
            )
        if self.side and not SMALLEST <= self.side <= LARGEST:
            raise UserError(
                f"domain-incremental: side={self.side}: 0, or from {SMALLEST} to {LARGEST} pixels"
            )
        if not 0 <= self.deal_seed < 2**32:
            raise UserError(
                f"domain-incremental: deal_seed={self.deal_seed}: must be from 0 to {2**32 - 1}"
            )


class DomainIncremental(ScenarioKind):
    """An experience a domain, each tested on its own val images."""

    source = "van de Ven and Tolias, 2019; corruptions: Hendrycks and Dietterich, ICLR 2019"
    shape = "an experience a domain, all classes in each"
    experiences = 0
    Options = DomainOptions

    @property
    def makes_images(self) -> bool:
        """Where corruptions are named."""
        return bool(self.options.corruptions)

    def listed(self, root: Path, holdout: Holdout) -> Dataset:
        """A folder of domains, or the images to corrupt."""
        if self.makes_images:
            return super().listed(root, holdout)
        domains = self.options.domains
        return list_domains(root, domains.split("+") if domains else (), holdout)

    def resolve(self, cut: Cut) -> Cut:
        """As it is: the number of experiences is the data's."""
        return cut

    def select(self, dataset: Dataset) -> Dataset:
        """The domains; corrupted ones are made where the cache does not hold them."""
        options = self.options
        if isinstance(dataset, DomainDataset):
            return dataset
        if not options.corruptions:
            raise UserError(
                f"{dataset.root}: has no domains; give --data-root a folder for each domain, or write "
                "--scenario domain-incremental:corruptions=gaussian_noise+contrast"
            )
        if not dataset.has_images:
            raise UserError(f"{dataset.root}: holds tokens alone; corruptions need images")
        return open_corrupted(
            cache_folder() / "datasets",
            dataset,
            options.corruptions.split("+"),
            options.severity,
            options.side or native_resolution(dataset),
            options.deal_seed,
            self.progress,
        )

    def cut(self, dataset: Dataset, cut: Cut) -> Scenario:
        """An experience for each domain."""
        if not isinstance(dataset, DomainDataset):
            raise UserError(f"{dataset.root}: has no domains; give a folder for each domain")
        refuse_first_classes(cut, self.name)
        count = len(dataset.domains)
        if cut.experiences not in (0, count):
            raise UserError(
                f"--experiences {cut.experiences}: there is one for each of the {count} domains; drop it"
            )
        order = ordered_classes(dataset, cut)
        train, val = (dataset.domains_of(split) for split in (dataset.train, dataset.val))
        return Scenario(
            name=self.name,
            class_order=order,
            train=tuple((train == i).nonzero()[:, 0] for i in range(count)),
            test=tuple((val == i).nonzero()[:, 0] for i in range(count)),
            classes=(tuple(range(len(order))),) * count,
        )


SCENARIO = DomainIncremental
