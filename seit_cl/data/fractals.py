"""The built-in set of images: attractors of iterated function systems, one system a class.

After FractalDB: Kataoka et al., "Pre-training without Natural Images", ACCV 2020. Theirs are grey point clouds; these
are coloured, on a background, and turned, scaled and moved. A class leans to colours of its own, but light on dark in one
image is dark on light in the next, so that no mean colour gives it away.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from seit_cl.core.errors import UserError
from seit_cl.data import ifs
from seit_cl.data.base import Dataset
from seit_cl.data.folder import list_folder
from seit_cl.data.images import LARGEST, SMALLEST, default_threads

VERSION = 2  # of the images: raise it whenever the same settings would give others
SETTINGS = "fractals.json"
MTIME = 1_600_000_000  # seconds; constant, so that a dataset's manifest is too
BATCH = 32
SPLITS = {"train": 1, "val": 2}
Progress = Callable[[int], None]


def check(classes: int, resolution: int, seed: int, *counts: int) -> None:
    """Raises UserError for sizes that cannot be made."""
    if classes < 1 or min(counts) < 1:
        raise UserError(
            f"fractals: {classes} classes with {min(counts)} images each; both must be at least 1"
        )
    if not SMALLEST <= resolution <= LARGEST:
        raise UserError(
            f"fractals: resolution {resolution}; must be from {SMALLEST} to {LARGEST} pixels"
        )
    if seed < 0:
        raise UserError(f"fractals: seed {seed}; must be 0 or more")


def render(
    classes: int,
    per_class: int,
    resolution: int,
    seed: int,
    split: str,
    progress: Progress | None = None,
) -> tuple[Tensor, Tensor]:
    """Renders one split. Image i of class c depends on (seed, split, c, i) and the resolution alone.

    Args:
        classes: C.
        per_class: images of each class.
        resolution: S, 32 to 256 pixels.
        seed: of the classes and the images.
        split: "train" or "val": the same classes, other images.
        progress: called with the number of images done so far.

    Returns:
        Images (N, 3, S, S) uint8 and labels (N,) int64, N = C * per_class, class by class.

    Raises:
        UserError: a size out of range or an unknown split.
    """
    check(classes, resolution, seed, per_class)
    if split not in SPLITS:
        raise UserError(f"fractals: split {split!r}; known: {', '.join(SPLITS)}")
    images = np.empty((classes * per_class, 3, resolution, resolution), dtype=np.uint8)
    systems = [ifs.class_system(seed, label) for label in range(classes)]
    batch = max(1, BATCH * 64 * 64 // (resolution * resolution))
    for start in range(0, len(images), batch):
        rows = range(start, min(start + batch, len(images)))
        keys = [(seed, SPLITS[split], *divmod(row, per_class)) for row in rows]
        images[start : rows.stop] = ifs.draw([systems[key[2]] for key in keys], keys, resolution)
        if progress is not None:
            progress(rows.stop)
    return torch.from_numpy(images), torch.arange(classes).repeat_interleave(per_class)


def write_fractals(
    root: Path,
    classes: int,
    train_per_class: int,
    val_per_class: int,
    resolution: int,
    seed: int = 0,
    progress: Progress | None = None,
) -> Path:
    """Writes train/fractal0000/*.png, val/fractal0000/*.png, … and fractals.json, all at once, unless they are there.

    Args:
        root: the folder to make; its parents are made too.
        classes, train_per_class, val_per_class, resolution, seed: as in render.
        progress: called with the number of images rendered so far, over both splits.

    Returns:
        The root.

    Raises:
        UserError: a size out of range, or the folder has something else in it.
    """
    check(classes, resolution, seed, train_per_class, val_per_class)
    root = Path(root)
    per_class = {"train": train_per_class, "val": val_per_class}
    settings = {
        "version": VERSION,
        "classes": classes,
        **per_class,
        "resolution": resolution,
        "seed": seed,
    }
    if is_written(root, settings):
        return root
    root.parent.mkdir(parents=True, exist_ok=True)
    making = Path(tempfile.mkdtemp(prefix=f".{root.name}-", dir=root.parent))
    try:
        fill(making, per_class, settings, progress)
        try:
            os.replace(making, root)
        except OSError:  # another process was faster
            if not is_written(root, settings):
                raise
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return root


def fill(
    folder: Path, per_class: dict[str, int], settings: dict[str, int], progress: Progress | None
) -> None:
    """Renders and writes both splits and the settings into a folder."""
    done, classes = 0, settings["classes"]
    for split, count in per_class.items():

        def report(rendered: int, before: int = done) -> None:
            if progress is not None:
                progress(before + rendered)

        images, labels = render(
            classes, count, settings["resolution"], settings["seed"], split, report
        )
        write_split(folder / split, images, labels, count)
        done += classes * count
    (folder / SETTINGS).write_text(json.dumps(settings) + "\n")
    folder.chmod(0o755)


def is_written(root: Path, settings: dict[str, int]) -> bool:
    """Whether a folder holds the set with these settings.

    Raises:
        UserError: it holds something else.
    """
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return False
    try:
        same = json.loads((root / SETTINGS).read_text()) == settings
    except (OSError, ValueError):
        same = False
    if not same:
        raise UserError(
            f"{root}: exists and is not this set of fractals; remove it or choose another folder"
        )
    return True


def write_split(folder: Path, images: Tensor, labels: Tensor, per_class: int) -> None:
    """Writes images (N, 3, S, S) uint8 with labels (N,), class by class, as PNG files of a constant mtime."""
    pixels, places = images.permute(0, 2, 3, 1).contiguous().numpy(), labels.tolist()
    for label in sorted(set(places)):
        (folder / f"fractal{label:04d}").mkdir(parents=True)

    def save(row: int) -> None:
        path = folder / f"fractal{places[row]:04d}" / f"{row % per_class:06d}.png"
        Image.fromarray(pixels[row]).save(path, compress_level=3)
        os.utime(path, (MTIME, MTIME))

    with ThreadPoolExecutor(default_threads()) as pool:
        for _ in pool.map(save, range(len(places))):
            pass


def open_fractals(
    cache_dir: Path,
    classes: int = 10,
    train_per_class: int = 100,
    val_per_class: int = 30,
    resolution: int = 64,
    seed: int = 0,
    progress: Progress | None = None,
) -> Dataset:
    """The built-in dataset "fractals", made on the first call in a folder of the cache that names its settings.

    Args:
        cache_dir: where generated data is kept.
        classes, train_per_class, val_per_class, resolution, seed, progress: as in write_fractals.

    Raises:
        UserError: as write_fractals, or the cache cannot be written.
    """
    name = (
        f"fractals-v{VERSION}-{classes}x{train_per_class}+{val_per_class}-{resolution}px-seed{seed}"
    )
    try:
        root = write_fractals(
            Path(cache_dir) / name,
            classes,
            train_per_class,
            val_per_class,
            resolution,
            seed,
            progress,
        )
    except OSError as error:
        problem = (
            f"{cache_dir}: the built-in fractals cannot be written ({error.strerror or error})"
        )
        raise UserError(f"{problem}; set SEIT_CL_CACHE to a folder with room") from error
    return replace(list_folder(root), name="fractals")
