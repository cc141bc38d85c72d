"""A dataset's images in domains: clean in the first, corrupted in the others; made once, as files in a folder of the cache."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from seit_cl.core.errors import UserError
from seit_cl.data.base import Dataset
from seit_cl.data.corruptions import corrupt
from seit_cl.data.domains import DomainDataset, list_domains
from seit_cl.data.images import default_threads, load_image, no_pixel_limit
from seit_cl.data.listing import some_names

VERSION = 1  # of the images: raise it whenever the same settings would give others
CLEAN = "clean"
MTIME = 1_600_000_000  # seconds; constant, so that a dataset's manifest is too
CHUNK = 256  # images between two calls of progress
Work = tuple[str, str, Path]  # domain, split, image


def open_corrupted(
    cache_dir: Path,
    clean: Dataset,
    corruptions: Sequence[str],
    severity: int,
    side: int,
    seed: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> DomainDataset:
    """The dataset in 1 + len(corruptions) domains. A train image is in one domain, a val image in every one.

    Clean files are copied as they are. Corrupted ones are PNG files of the middle square; a file depends on its name, its
    domain and the severity alone, not on others.

    Args:
        cache_dir: where generated data is kept.
        clean: the dataset; its manifest is part of the folder's name, as are the other settings.
        corruptions: names of seit_cl.data.corruptions, in the order of the domains.
        severity: 1 to 5.
        side: of corrupted images, pixels.
        seed: deals every class's train images over the domains.
        progress: called with images done and images in all.

    Raises:
        UserError: a class with fewer train images than there are domains, an unreadable image, or a cache that cannot be
            written.
    """
    domains = [CLEAN, *corruptions]
    settings = f"v{VERSION}\0{clean.manifest}\0{'+'.join(domains)}\0{severity}\0{side}\0{seed}"
    root = Path(cache_dir) / f"corrupted-{hashlib.sha256(settings.encode()).hexdigest()[:16]}"
    if not root.is_dir():
        work = list(_work(clean, domains, seed))
        try:
            _write(root, clean, work, severity, side, progress)
        except OSError as error:
            problem = (
                f"{cache_dir}: the corrupted images cannot be written ({error.strerror or error})"
            )
            raise UserError(f"{problem}; set SEIT_CL_CACHE to a folder with room") from error
    return replace(
        list_domains(root, domains), name=clean.name, skipped=clean.skipped, held_out=clean.held_out
    )


def deal(labels: Tensor, domains: int, seed: int) -> np.ndarray:
    """(N,) the domain of every train image: a class's images are dealt evenly, in an order of the generator's; what does not
    divide goes to domains that differ from class to class.

    Args:
        labels: (N,) int64.
        domains: how many.
        seed: of the generator.
    """
    draw, where = np.random.RandomState(seed), np.empty(len(labels), np.int64)
    for label in labels.unique().tolist():
        ids = np.flatnonzero(labels.numpy() == label)
        where[draw.permutation(ids)] = (np.arange(len(ids)) + label) % domains
    return where


def _work(clean: Dataset, domains: Sequence[str], seed: int) -> Iterator[Work]:
    """Every file to make."""
    counts = np.bincount(clean.train.labels.numpy(), minlength=len(clean.classes))
    few = [name for name, count in zip(clean.classes, counts, strict=True) if count < len(domains)]
    if few:
        raise UserError(
            f"{clean.root}: fewer train images than the {len(domains)} domains in {some_names(few)}; "
            "name fewer corruptions"
        )
    for path, domain in zip(
        clean.train.paths, deal(clean.train.labels, len(domains), seed), strict=True
    ):
        yield domains[domain], "train", path
    for domain_name in domains:
        for path in clean.val.paths:
            yield domain_name, "val", path


def _write(
    root: Path,
    clean: Dataset,
    work: list[Work],
    severity: int,
    side: int,
    progress: Callable[[int, int], None],
) -> None:
    """Makes a folder of all files; it gets its name when it is whole."""
    root.parent.mkdir(parents=True, exist_ok=True)
    making = Path(tempfile.mkdtemp(prefix=f".{root.name}-", dir=root.parent))
    classes = {
        path: clean.classes[label]
        for split in (clean.train, clean.val)
        for path, label in zip(split.paths, split.labels.tolist(), strict=True)
    }

    def make(item: Work) -> None:
        domain, split, path = item
        folder = making / domain / split / classes[path]
        folder.mkdir(parents=True, exist_ok=True)
        _make(path, path.relative_to(clean.root).as_posix(), domain, severity, side, folder)

    try:
        with no_pixel_limit(), ThreadPoolExecutor(default_threads()) as pool:
            for start in range(0, len(work), CHUNK):
                progress(start, len(work))
                list(pool.map(make, work[start : start + CHUNK]))
        progress(len(work), len(work))
        making.chmod(0o755)
        try:
            os.replace(making, root)
        except OSError:  # another process was faster
            if not root.is_dir():
                raise
    finally:
        shutil.rmtree(making, ignore_errors=True)


def _make(path: Path, name: str, domain: str, severity: int, side: int, folder: Path) -> None:
    """One file of a domain; `name` is the image's in its dataset."""
    flat = name.replace("/", "-")  # folders below a class may hold files of one name
    if domain == CLEAN:
        target = folder / flat
        shutil.copyfile(path, target)
    else:
        digest = hashlib.sha256(f"{name}\0{domain}\0{severity}".encode()).digest()
        image = corrupt(
            load_image(path, side), domain, severity, int.from_bytes(digest[:4], "little")
        )
        target = folder / f"{flat}.png"
        Image.fromarray(image).save(target, compress_level=3)
    os.utime(target, (MTIME, MTIME))
