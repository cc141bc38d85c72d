"""A dataset's images in domains, clean and corrupted, written once to a folder in the cache."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from seit_cl.core.errors import UserError
from seit_cl.core.files import sweep, temporary_folder
from seit_cl.core.names import is_folder_name
from seit_cl.core.threads import map_in_threads
from seit_cl.data.base import Dataset
from seit_cl.data.corruptions import corrupt
from seit_cl.data.decoding import load_image, no_pixel_limit
from seit_cl.data.domains import DomainDataset, list_domains
from seit_cl.data.listing import some_names
from seit_cl.data.stored import StoredImage

VERSION = 2  # of the images; raise it if the same settings would give others
CLEAN = "clean"
MTIME = 1_600_000_000  # seconds; constant, so that a dataset's manifest is constant too
CHUNK = 256  # images between two reports of progress


@dataclass(frozen=True)
class CorruptionSettings:
    """Settings that all corrupted images share.

    Args:
        severity: 1 to 5.
        side: side of the image in pixels.
    """

    severity: int
    side: int


@dataclass(frozen=True)
class ImageJob:
    """One file to make.

    Args:
        source: the original.
        domain: CLEAN or the name of a corruption.
        folder: where the file goes, relative to the folder of all domains.
    """

    source: StoredImage
    domain: str
    folder: Path


def open_corrupted(
    cache_dir: Path,
    clean: Dataset,
    corruptions: Sequence[str],
    severity: int,
    side: int,
    seed: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> DomainDataset:
    """Open a dataset in 1 + len(corruptions) domains, making the images on the first call.

    A train image is in one domain, a val image in every one. Clean files are copied as they are;
    corrupted ones are PNG files of the central square. The contents of a file depend only on its
    name, its domain and the severity.

    Args:
        cache_dir: folder of generated data.
        clean: the original dataset. Its manifest is part of the new folder's name, as are all other
            settings.
        corruptions: names in seit_cl.data.corruptions, in the order of the domains.
        severity: 1 to 5.
        side: side of corrupted images in pixels.
        seed: seed that deals every class's train images over the domains.
        progress: called with the images made so far and the number of images.

    Raises:
        UserError: a class with fewer train images than there are domains, an unreadable image, or a
            cache that cannot be written.
    """
    domains = [CLEAN, *corruptions]
    key = f"v{VERSION}\0{clean.manifest}\0{'+'.join(domains)}\0{severity}\0{side}\0{seed}"
    digest = hashlib.sha256(key.encode()).hexdigest()[:16]
    root = Path(cache_dir) / f"corrupted-{digest}"
    if not root.is_dir():
        jobs = _list_jobs(clean, domains, seed)
        try:
            _make_all(root, jobs, CorruptionSettings(severity, side), progress)
        except OSError as error:
            reason = error.strerror or error
            raise UserError(
                f"{cache_dir}: the corrupted images cannot be written ({reason}); "
                "set SEIT_CL_CACHE to a folder with space"
            ) from error
    dataset = list_domains(root, domains)
    return replace(dataset, name=clean.name, skipped=clean.skipped, held_out=clean.held_out)


def deal(labels: Tensor, domains: int, seed: int) -> np.ndarray:
    """Deal the images of every class evenly over the domains, in random order.

    The remainder goes to domains that differ from class to class.

    Args:
        labels: (N,) int64.
        domains: number of domains.
        seed: seed of the order.

    Returns:
        (N,) int64, the domain of every image.
    """
    generator = np.random.RandomState(seed)
    domain_of = np.empty(len(labels), np.int64)
    for label in labels.unique().tolist():
        ids = np.flatnonzero(labels.numpy() == label)
        domain_of[generator.permutation(ids)] = (np.arange(len(ids)) + label) % domains
    return domain_of


def _list_jobs(clean: Dataset, domains: Sequence[str], seed: int) -> list[ImageJob]:
    """Every file to make.

    Raises:
        UserError: a class has too few train images.
    """
    counts = np.bincount(clean.train.labels.numpy(), minlength=len(clean.classes))
    few = [name for name, count in zip(clean.classes, counts, strict=True) if count < len(domains)]
    if few:
        raise UserError(
            f"{clean.root}: fewer train images than the {len(domains)} domains in "
            f"{some_names(few)}; name fewer corruptions"
        )

    unfit = [name for name in clean.classes if not is_folder_name(name)]
    if unfit:
        raise UserError(
            f"{clean.root}: corrupted images are kept in folders named after classes, and "
            f"{some_names(map(repr, unfit))} cannot name one; rename it"
        )

    def job(image: StoredImage, domain: str, split: str, label: int) -> ImageJob:
        return ImageJob(image, domain, Path(domain, split, clean.classes[label]))

    jobs = []
    train_domains = deal(clean.train.labels, len(domains), seed).tolist()
    train = zip(clean.train.images, clean.train.labels.tolist(), train_domains, strict=True)
    for image, label, domain in train:
        jobs.append(job(image, domains[domain], "train", label))
    for domain_name in domains:
        for image, label in zip(clean.val.images, clean.val.labels.tolist(), strict=True):
            jobs.append(job(image, domain_name, "val", label))
    return jobs


def _make_all(
    root: Path,
    jobs: list[ImageJob],
    settings: CorruptionSettings,
    progress: Callable[[int, int], None],
) -> None:
    """Make all files in a temporary folder that is renamed when it is complete."""
    sweep(root.parent, root.name)
    with temporary_folder(root) as temporary:

        def make(job: ImageJob) -> None:
            folder = temporary / job.folder
            folder.mkdir(parents=True, exist_ok=True)
            _make_file(job, settings, folder)

        progress(0, len(jobs))
        with no_pixel_limit():
            for done, _ in enumerate(map_in_threads(make, jobs), 1):
                if done % CHUNK == 0 or done == len(jobs):
                    progress(done, len(jobs))
        try:
            os.replace(temporary, root)
        except OSError:  # another process was faster
            if not root.is_dir():
                raise


def _make_file(job: ImageJob, settings: CorruptionSettings, folder: Path) -> None:
    """Make one file in its folder."""
    name = job.source.name
    flat_name = name.replace("/", "-")  # folders below a class may have files of one name
    if job.domain == CLEAN:
        target = folder / flat_name
        target.write_bytes(job.source.read())
    else:
        key = f"{name}\0{job.domain}\0{settings.severity}"
        seed = int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "little")
        image = load_image(job.source, settings.side)
        target = folder / f"{flat_name}.png"
        corrupted = corrupt(image, job.domain, settings.severity, seed)
        Image.fromarray(corrupted).save(target, compress_level=3)
    os.utime(target, (MTIME, MTIME))
