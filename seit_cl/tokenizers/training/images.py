"""Training images of a tokenizer: a labelled image folder, fractals, tiles of larger images."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from seit_cl.core.errors import UserError
from seit_cl.data.fractals import render
from seit_cl.data.images import load_images
from seit_cl.data.leave_out import leave_out
from seit_cl.data.listing import SUFFIXES
from seit_cl.datasets import list_data
from seit_cl.tokenizers.training.class_head import UNLABELLED

FRACTAL_CLASSES = 50
FRACTAL_SEED = 777  # not the seed of the built-in dataset
TILED = (2, 4)  # sides to which larger images are resized, in tiles of the training size


def training_images(
    root: Path,
    resolution: int,
    fractals: int,
    large: Path | None,
    left_out: Path | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Load the images to train on and to measure on.

    Args:
        root: location of the data (seit_cl.datasets), such as an image folder.
        resolution: S, pixels.
        fractals: number of fractals to add; their classes follow those of the folder.
        large: folder of larger images, whose tiles have no label; or None.
        left_out: list of images that are not used (seit_cl.data.leave_out); or None.

    Returns:
        Images (N, 3, S, S) uint8 and labels (N,) int64 to train on, those of the folder first, and
        the folder's val images (M, 3, S, S) uint8.

    Raises:
        UserError: a folder or an image that cannot be read.
    """
    folder = list_data(root)
    if left_out is not None:
        folder = leave_out(folder, left_out)
    images = load_images(folder.train.images, resolution)
    labels = folder.train.labels
    if fractals:
        per_class = -(-fractals // FRACTAL_CLASSES)
        drawn, classes = render(FRACTAL_CLASSES, per_class, resolution, FRACTAL_SEED, "train")
        images = torch.cat([images, drawn[:fractals]])
        labels = torch.cat([labels, len(folder.classes) + classes[:fractals]])
    if large is not None:
        tiles = cut_tiles(find_images(large), resolution)
        images = torch.cat([images, tiles])
        labels = torch.cat([labels, torch.full((len(tiles),), UNLABELLED)])
    return images, labels, load_images(folder.val.images, resolution)


def find_images(folder: Path, option: str = "--photos") -> list[Path]:
    """List the image files in a folder and its subfolders, sorted.

    Args:
        folder: to search.
        option: command-line option that named the folder, for the message.

    Raises:
        UserError: the folder holds no images.
    """
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not paths:
        suffixes = ", ".join(SUFFIXES)
        raise UserError(f"{option} {folder}: no images there; give a folder of {suffixes} files")
    return paths


def cut_tiles(paths: list[Path], resolution: int) -> Tensor:
    """Resize images to each of TILED times S pixels and cut them into tiles (N, 3, S, S) uint8.

    The codebook thereby learns detail at several scales.

    Args:
        paths: image files.
        resolution: S, pixels.
    """
    tiles = []
    for scale in TILED:
        images = load_images(paths, scale * resolution)
        rows = images.unfold(2, resolution, resolution)
        cells = rows.unfold(3, resolution, resolution)  # (N, 3, scale, scale, S, S)
        tiles.append(cells.permute(0, 2, 3, 1, 4, 5).reshape(-1, 3, resolution, resolution))
    return torch.cat(tiles)
