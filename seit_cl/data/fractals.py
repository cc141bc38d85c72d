"""The built-in dataset: attractors of iterated function systems, one system for each class.

After FractalDB: Kataoka et al., "Pre-training without Natural Images", ACCV 2020. Their images are
grey point clouds; ours are coloured, on a background, and rotated, scaled and moved. The colours of
a class are similar, but an image may be light on dark or dark on light, so that the mean colour
does not reveal the class.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from seit_cl.core.errors import UserError
from seit_cl.core.files import sweep, temporary_folder
from seit_cl.core.threads import map_in_threads
from seit_cl.data import ifs
from seit_cl.data.base import Dataset
from seit_cl.data.folder import list_folder
from seit_cl.data.images import LARGEST, SMALLEST

VERSION = 2  # of the images; raise it if the same settings would give others
SETTINGS = "fractals.json"
MTIME = 1_600_000_000  # seconds; constant, so that a dataset's manifest is constant too
BATCH = 32  # images of 64 px drawn together
SPLITS = {"train": 1, "val": 2}
Progress = Callable[[int], None]


def check(classes: int, resolution: int, seed: int, *counts: int) -> None:
    """Check the settings of the dataset.

    Raises:
        UserError: a size out of range, or a negative seed.
    """
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
    """Render one split.

    Image i of class c depends only on (seed, split, c, i) and the resolution.

    Args:
        classes: number of classes C.
        per_class: images of each class.
        resolution: side S, 32 to 256 pixels.
        seed: seed of the classes and the images.
        split: "train" or "val": the same classes, other images.
        progress: called with the number of images rendered so far.

    Returns:
        Images (N, 3, S, S) uint8 and labels (N,) int64, N = C * per_class, class by class.

    Raises:
        UserError: a size out of range or an unknown split.
    """
    check(classes, resolution, seed, per_class)
    if split not in SPLITS:
        raise UserError(f"fractals: unknown split {split!r}; use {' or '.join(SPLITS)}")
    images = np.empty((classes * per_class, 3, resolution, resolution), dtype=np.uint8)
    systems = [ifs.class_system(seed, label) for label in range(classes)]
    batch = max(1, BATCH * 64 * 64 // (resolution * resolution))
    for start in range(0, len(images), batch):
        stop = min(start + batch, len(images))
        keys = []
        for row in range(start, stop):
            label, number = divmod(row, per_class)
            keys.append((seed, SPLITS[split], label, number))
        batch_systems = [systems[label] for _, _, label, _ in keys]
        images[start:stop] = ifs.draw(batch_systems, keys, resolution)
        if progress is not None:
            progress(stop)
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
    """Write train/fractal0000/*.png, val/fractal0000/*.png, … and fractals.json.

    The folder appears when it is complete; one with the same settings is left as it is.

    Args:
        root: folder to create, with its parents.
        classes, resolution, seed: as in `render`.
        train_per_class, val_per_class: images of each class in the two splits.
        progress: called with the number of images rendered so far, over both splits.

    Returns:
        The root.

    Raises:
        UserError: a size out of range, or a folder with other contents.
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
    sweep(root.parent, root.name)
    with temporary_folder(root) as temporary:
        fill(temporary, per_class, settings, progress)
        try:
            os.replace(temporary, root)
        except OSError:  # another process was faster
            if not is_written(root, settings):
                raise
    return root


def fill(
    folder: Path, per_class: dict[str, int], settings: dict[str, int], progress: Progress | None
) -> None:
    """Render and write both splits and the settings into a folder."""
    classes = settings["classes"]
    done = 0

    def report(rendered: int) -> None:
        if progress is not None:
            progress(done + rendered)

    for split, count in per_class.items():
        images, labels = render(
            classes, count, settings["resolution"], settings["seed"], split, report
        )
        write_split(folder / split, images, labels, count)
        done += classes * count
    (folder / SETTINGS).write_text(json.dumps(settings) + "\n")
    folder.chmod(0o755)


def is_written(root: Path, settings: dict[str, int]) -> bool:
    """Return True if a folder has the dataset of these settings, False if there is none.

    Raises:
        UserError: the folder has other contents.
    """
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return False
    try:
        same = json.loads((root / SETTINGS).read_text()) == settings
    except Exception:  # parsers raise anything for a damaged file
        same = False
    if not same:
        raise UserError(
            f"{root}: exists and is not this set of fractals; remove it or choose another folder"
        )
    return True


def write_split(folder: Path, images: Tensor, labels: Tensor, per_class: int) -> None:
    """Write images as PNG files with a constant modification time.

    Args:
        folder: parent of the class folders.
        images: (N, 3, S, S) uint8, class by class.
        labels: (N,) int64.
        per_class: images of each class.
    """
    pixels = images.permute(0, 2, 3, 1).contiguous().numpy()
    label_of = labels.tolist()
    for label in sorted(set(label_of)):
        (folder / f"fractal{label:04d}").mkdir(parents=True)

    def save(row: int) -> None:
        path = folder / f"fractal{label_of[row]:04d}" / f"{row % per_class:06d}.png"
        Image.fromarray(pixels[row]).save(path, compress_level=3)
        os.utime(path, (MTIME, MTIME))

    for _ in map_in_threads(save, range(len(label_of))):
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
    """Open the built-in dataset "fractals", making its images on the first call.

    Args:
        cache_dir: folder of generated data; the dataset's subfolder is named after the settings.
        classes, train_per_class, val_per_class, resolution, seed, progress: as in `write_fractals`.

    Raises:
        UserError: as in `write_fractals`, or the cache cannot be written.
    """
    counts = f"{classes}x{train_per_class}+{val_per_class}"
    root = Path(cache_dir) / f"fractals-v{VERSION}-{counts}-{resolution}px-seed{seed}"
    try:
        write_fractals(root, classes, train_per_class, val_per_class, resolution, seed, progress)
    except OSError as error:
        raise UserError(
            f"{cache_dir}: the built-in fractals cannot be written ({error.strerror or error}); "
            "set SEIT_CL_CACHE to a folder with space"
        ) from error
    return replace(list_folder(root), name="fractals")
