"""Domain-incremental learning: the same classes in every experience, in domains that change."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from seit_cl.core.cache import cache_folder
from seit_cl.core.errors import UserError, nearest
from seit_cl.data.base import Dataset
from seit_cl.data.class_incremental import ordered_classes
from seit_cl.data.corrupted import open_corrupted
from seit_cl.data.corruptions import CORRUPTIONS, SEVERITIES
from seit_cl.data.domains import DomainDataset, list_domains
from seit_cl.data.holdout import Holdout
from seit_cl.data.images import LARGEST, SMALLEST, native_resolution
from seit_cl.data.scenario import Scenario
from seit_cl.data.scenario_recipe import Progress, ScenarioRecipe, no_progress
from seit_cl.data.settings import StreamSettings
from seit_cl.data.stream_draws import refuse_numbers_of_classes


@dataclass(frozen=True)
class DomainOptions:
    """Options of domain-incremental.

    Args:
        domains: subfolders of --data-root in order, joined by "+"; empty: all of them, sorted.
        corruptions: names of corruptions in order, joined by "+". Each becomes a
            domain made of the images in --data-root, after a clean one. Empty: --data-root has a
            folder for each domain.
        severity: severity of the corruptions, 1 to 5.
        side: side of corrupted images in pixels; 0: the dataset's own, up to 256.
        deal_seed: seed that deals the train images over the clean and corrupted domains.
    """

    domains: str = ""
    corruptions: str = ""
    severity: int = 3
    side: int = 0
    deal_seed: int = 1993

    def __post_init__(self) -> None:
        """Refuse values out of range and options that exclude each other."""
        self._check_corruptions()
        if not 1 <= self.severity <= SEVERITIES:
            raise UserError(
                f"domain-incremental: severity={self.severity}: must be from 1 to {SEVERITIES}"
            )
        if self.side and not SMALLEST <= self.side <= LARGEST:
            raise UserError(
                f"domain-incremental: side={self.side}: "
                f"must be 0, or from {SMALLEST} to {LARGEST} pixels"
            )
        if not 0 <= self.deal_seed < 2**32:
            raise UserError(
                f"domain-incremental: deal_seed={self.deal_seed}: must be from 0 to {2**32 - 1}"
            )

    def _check_corruptions(self) -> None:
        names = self.corruption_names
        for name in names:
            if name not in CORRUPTIONS:
                raise UserError(
                    f"domain-incremental: unknown corruption {name!r}; {nearest(name, CORRUPTIONS)}"
                )
        if len(set(names)) < len(names):
            raise UserError(
                f"domain-incremental: corruptions={self.corruptions}: one is named twice; "
                "name each once"
            )
        if names and self.domains:
            raise UserError(
                "domain-incremental: domains= names folders, corruptions= makes domains; "
                "give one of the two"
            )

    @property
    def domain_names(self) -> list[str]:
        """The domains as a list."""
        return self.domains.split("+") if self.domains else []

    @property
    def corruption_names(self) -> list[str]:
        """The corruptions as a list."""
        return self.corruptions.split("+") if self.corruptions else []


class DomainIncremental(ScenarioRecipe):
    """One experience for each domain, tested on the domain's own val images."""

    source = "van de Ven and Tolias, 2019; corruptions: Hendrycks and Dietterich, ICLR 2019"
    stream = "an experience a domain, all classes in each"
    experiences = 0
    Options = DomainOptions

    @property
    def makes_images(self) -> bool:
        """True if corruptions are named."""
        return bool(self.options.corruptions)

    def list_dataset(self, root: Path, holdout: Holdout) -> Dataset | None:
        """List a folder of domains; None where any images are corrupted."""
        if self.makes_images:
            return None
        return list_domains(root, self.options.domain_names, holdout)

    def resolve(self, settings: StreamSettings, classes: int | None = None) -> StreamSettings:
        """The settings unchanged: the data decide the number of experiences."""
        return settings

    def select(self, dataset: Dataset, progress: Progress = no_progress) -> Dataset:
        """The dataset with its domains; corrupted ones are made if they are not in the cache.

        Args:
            dataset: of --data-root.
            progress: shows how far the making is.

        Raises:
            UserError: data without domains, or without images that could be corrupted.
        """
        options = self.options
        if isinstance(dataset, DomainDataset):
            return dataset
        if not options.corruptions:
            raise UserError(
                f"{dataset.root}: has no domains; give --data-root a folder for each domain, or "
                "write --scenario domain-incremental:corruptions=gaussian_noise+contrast"
            )
        if not dataset.has_images:
            raise UserError(f"{dataset.root}: has tokens only; corruptions need images")
        return open_corrupted(
            cache_folder() / "datasets",
            dataset,
            options.corruption_names,
            options.severity,
            options.side or native_resolution(dataset),
            options.deal_seed,
            progress,
        )

    def cut(self, dataset: Dataset, settings: StreamSettings) -> Scenario:
        """Cut the dataset into an experience for each domain.

        Args:
            dataset: as `select` returns it.
            settings: of the stream.

        Raises:
            UserError: data without domains, or another number of experiences than of domains.
        """
        if not isinstance(dataset, DomainDataset):
            raise UserError(f"{dataset.root}: has no domains; give a folder for each domain")
        refuse_numbers_of_classes(settings, self.name)
        count = len(dataset.domains)
        if settings.experiences not in (0, count):
            raise UserError(
                f"--experiences {settings.experiences}: the data have {count} domains, "
                "an experience for each; drop it"
            )
        order = ordered_classes(dataset, settings)
        train = dataset.domains_of(dataset.train)
        val = dataset.domains_of(dataset.val)
        return Scenario(
            name=self.name,
            class_order=order,
            train=tuple((train == i).nonzero()[:, 0] for i in range(count)),
            test=tuple((val == i).nonzero()[:, 0] for i in range(count)),
            classes=(tuple(range(len(order))),) * count,
        )


SCENARIO = DomainIncremental
